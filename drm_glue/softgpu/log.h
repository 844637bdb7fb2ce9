// What the device did: one line an event, with its time.
#pragma once

#include <cstdarg>
#include <cstdio>

#include "drm_glue/softgpu/time.h"

namespace faultline::softgpu {

class Log {
 public:
  // A null file: nothing is written.
  Log(const Time& time, std::FILE* file) : time_(time), file_(file) {}
  [[gnu::format(printf, 2, 3)]] void operator()(const char* format, ...);

 private:
  const Time& time_;
  std::FILE* file_;
};

}  // namespace faultline::softgpu
