#include "drm_glue/kernel_taint.h"

#include <fcntl.h>

#include <array>
#include <charconv>
#include <utility>

namespace faultline {
namespace {

struct Flag {
  int bit;  // TAINT_... of include/linux/panic.h
  const char* words;
};
constexpr std::array flags = {Flag{5, "B (a bad page)"}, Flag{7, "D (an oops)"}, Flag{9, "W (a warning)"},
                              Flag{14, "L (a soft lockup)"}};

}  // namespace

KernelTaint::KernelTaint(Kernel& kernel) : kernel_(kernel), before_(read()) {}

unsigned long long KernelTaint::read() const {
  const int fd = kernel_.open("/proc/sys/kernel/tainted", O_RDONLY);
  if (fd < 0) return 0;
  char text[32];
  const ssize_t got = kernel_.read(fd, text, sizeof text);
  kernel_.close(fd);
  unsigned long long value = 0;
  if (got > 0) std::from_chars(text, text + got, value);
  return value;
}

std::vector<std::string> KernelTaint::news() {
  const unsigned long long now = read(), fresh = now & ~std::exchange(before_, before_ | now);
  std::vector<std::string> words;
  for (const Flag& flag : flags)
    if (fresh >> flag.bit & 1) words.emplace_back(flag.words);
  return words;
}

std::string taint_line(const std::vector<std::string>& news) {
  std::string line;
  for (const std::string& each : news) line += (line.empty() ? "" : ", ") + each;
  return "the kernel became tainted, and no report of its log tells why: " + line;
}

}  // namespace faultline
