#include "drm_glue/swap.h"

#include <fcntl.h>

#include <algorithm>

namespace faultline {

bool lists_swap(std::string_view swaps) { return std::ranges::count(swaps, '\n') > 1; }

bool has_swap(Kernel& kernel) {
  const int fd = kernel.open("/proc/swaps", O_RDONLY);
  if (fd < 0) return false;
  char text[4096];
  const ssize_t got = kernel.read(fd, text, sizeof text);
  kernel.close(fd);
  return got > 0 && lists_swap({text, static_cast<std::size_t>(got)});
}

}  // namespace faultline
