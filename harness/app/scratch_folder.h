// A temporary folder that is deleted with this object, and also when the process is killed.
#pragma once

#include <sys/types.h>

#include <string>

namespace faultline::app {

class ScratchFolder {
 public:
  ScratchFolder();  // throws std::system_error
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  // A shell that deletes the folder when the pipe is closed, which the kernel does if nobody else can.
  pid_t sweeper_ = -1;
  int pipe_ = -1;
};

}  // namespace faultline::app
