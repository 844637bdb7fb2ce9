#include "drm_glue/softgpu/log.h"

#include <errno.h>

#include <system_error>

namespace faultline::softgpu {
namespace {

double microseconds(nanoseconds time) { return static_cast<double>(time.count()) / 1000; }

}  // namespace

Log::Log(const Time& time, std::string path, std::string about, std::uint64_t most_bytes)
    : time_(time), path_(std::move(path)), about_(std::move(about)), most_bytes_(most_bytes) {
  if (path_.empty()) return;
  open();
  if (!file_) throw std::system_error(errno, std::generic_category(), path_);
}

Log::~Log() {
  if (file_) std::fclose(file_);
}

void Log::open() {
  file_ = std::fopen(path_.c_str(), "we");
  written_ = 0;
  if (!file_) return;
  setvbuf(file_, nullptr, _IOLBF, 0);
  const nanoseconds now = time_.now();
  (*this)("clock %.3f %s", microseconds(std::chrono::steady_clock::now().time_since_epoch() - now), about_.c_str());
}

void Log::operator()(const char* format, ...) {
  if (file_ && written_ >= most_bytes_) {
    std::fclose(file_);
    std::rename(path_.c_str(), (path_ + ".1").c_str());
    open();
  }
  if (!file_) return;
  int bytes = std::fprintf(file_, "%.3f ", microseconds(time_.now()));
  va_list arguments;
  va_start(arguments, format);
  bytes += std::vfprintf(file_, format, arguments);
  va_end(arguments);
  std::fputc('\n', file_);
  written_ += static_cast<std::uint64_t>(bytes) + 1;
}

}  // namespace faultline::softgpu
