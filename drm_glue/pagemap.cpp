#include "drm_glue/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace faultline {

std::optional<std::uint64_t> PagemapFrames::frame(pid_t pid, std::uintptr_t address) {
  const std::string path = "/proc/" + std::to_string(pid) + "/pagemap";
  // Opened each time: a descriptor kept open would pin the mm of a process that is to be torn down.
  const int fd = kernel_.open(path.c_str(), O_RDONLY);
  if (fd < 0) return std::nullopt;
  constexpr std::uintptr_t page = 4096;
  std::uint64_t entry = 0;
  const ssize_t got =
      kernel_.pread(fd, &entry, sizeof entry, static_cast<off_t>(address / page * sizeof entry));
  kernel_.close(fd);
  if (got != static_cast<ssize_t>(sizeof entry)) return std::nullopt;
  const std::uint64_t frame = entry & pagemap::frame_mask;
  if ((entry & pagemap::present) == 0 || frame == 0) return std::nullopt;
  return frame;
}

std::string frames_unavailable(Kernel& kernel) {
  // Our own stack is certainly present.
  volatile char here = 1;
  PagemapFrames frames(kernel);
  if (frames.frame(getpid(), reinterpret_cast<std::uintptr_t>(&here))) return {};
  return "page frames cannot be read from /proc/self/pagemap: that needs root (CAP_SYS_ADMIN)";
}

}  // namespace faultline
