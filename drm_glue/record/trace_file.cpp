#include "drm_glue/record/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace faultline::record {
namespace {

const char* path() { return std::getenv("FAULTLINE_TRACE"); }

void complain_of_loss(int error) {
  char name[128];
  complain(strerror_r(error, name, sizeof name) + std::string(": requests are lost"));
}

}  // namespace

void complain(const std::string& what) {
  static std::atomic<bool> said{false};
  if (said.exchange(true)) return;
  const std::string words = "faultline record: " + std::string(path()) + ": " + what + "\n";
  (void)!syscall(SYS_write, STDERR_FILENO, words.data(), words.size());
}

bool recording() { return path() != nullptr; }

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const unsigned char each : text) {
    char escaped[8];
    if (each == '"' || each == '\\') result += '\\';
    if (each >= 0x20 && each < 0x7f) result += static_cast<char>(each);
    else std::snprintf(escaped, sizeof escaped, "\\u%04x", each), result += escaped;
  }
  return result + '"';
}

std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string result = "\"";
  result.reserve(2 * bytes.size() + 2);
  for (const unsigned char each : bytes) {
    result += digits[each >> 4];
    result += digits[each & 15];
  }
  return result + '"';
}

std::int64_t boot_time() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

Line::Line(std::string_view event) { line_ = "{\"ev\":" + quoted(event); }

Line& Line::raw(std::string_view name, std::string_view json) {
  line_ += "," + quoted(name) + ":";
  line_ += json;
  return *this;
}

Line& Line::text(std::string_view name, std::string_view value) { return raw(name, quoted(value)); }
Line& Line::number(std::string_view name, std::int64_t value) { return raw(name, std::to_string(value)); }

void Line::write() {
  line_ += "}\n";
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (fd < 0) return complain_of_loss(errno);
  std::string_view left = line_;
  while (!left.empty()) {
    const long wrote = syscall(SYS_write, fd, left.data(), left.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      complain_of_loss(wrote < 0 ? errno : ENOSPC);
      break;
    }
    left.remove_prefix(static_cast<std::size_t>(wrote));
  }
  syscall(SYS_close, fd);
}

}  // namespace faultline::record
