#include "drm_glue/softgpu/log.h"

namespace faultline::softgpu {

void Log::operator()(const char* format, ...) {
  if (!file_) return;
  const double microseconds = static_cast<double>(time_.now().count()) / 1000;
  std::fprintf(file_, "%.3f ", microseconds);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(file_, format, arguments);
  va_end(arguments);
  std::fputc('\n', file_);
}

}  // namespace faultline::softgpu
