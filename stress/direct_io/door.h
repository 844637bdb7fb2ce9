// must(): for system calls that must not fail here. Returns the result, or throws.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace faultline::direct_io {

template <typename Result>
Result must(Result result, const std::string& what) {
  if (result == static_cast<Result>(-1)) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

inline void* must(void* result, const std::string& what) {
  if (result == reinterpret_cast<void*>(-1)) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

// A file descriptor that is closed at the end of its scope.
class File {
 public:
  File(const std::string& path, int flags) : fd_(must(::open(path.c_str(), flags | O_CLOEXEC, 0600), "open " + path)) {}
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  operator int() const { return fd_; }

 private:
  int fd_;
};

}  // namespace faultline::direct_io
