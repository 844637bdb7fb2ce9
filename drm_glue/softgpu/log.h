// What the device did: one line an event, with its time.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>

#include "drm_glue/softgpu/time.h"

namespace faultline::softgpu {

class Log {
 public:
  // Without a path nothing is written. Each file begins with a line that has `about`, and the steady clock's microseconds at
  // the device's time 0. After so many bytes the file becomes PATH.1, and a new one is begun. Throws std::system_error.
  Log(const Time& time, std::string path, std::string about, std::uint64_t most_bytes = std::uint64_t{64} << 20);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  [[gnu::format(printf, 2, 3)]] void operator()(const char* format, ...);

 private:
  void open();

  const Time& time_;
  const std::string path_, about_;
  const std::uint64_t most_bytes_;
  std::FILE* file_ = nullptr;
  std::uint64_t written_ = 0;
};

}  // namespace faultline::softgpu
