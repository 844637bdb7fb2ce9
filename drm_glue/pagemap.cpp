#include "drm_glue/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace faultline {
namespace {

constexpr std::uintptr_t page = 4096;

// Opens the file each time: an open descriptor would keep the mm of a process alive that is to be torn down.
std::optional<std::uint64_t> entry_of(Kernel& kernel, const char* path, std::uintptr_t address) {
  const int fd = kernel.open(path, O_RDONLY);
  if (fd < 0) return std::nullopt;
  std::uint64_t entry = 0;
  const ssize_t got = kernel.pread(fd, &entry, sizeof entry, static_cast<off_t>(address / page * sizeof entry));
  kernel.close(fd);
  return got == static_cast<ssize_t>(sizeof entry) ? std::optional(entry) : std::nullopt;
}

// One line of /proc/iomem, "  100000000-10fffffff : name".
bool holds(std::string_view line, std::string_view name, std::uint64_t address) {
  const auto skip = [&line] { line.remove_prefix(std::min(line.find_first_not_of(" -:"), line.size())); };
  std::uint64_t bounds[2]{};
  for (std::uint64_t& bound : bounds) {
    skip();
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), bound, 16);
    if (error != std::errc{}) return false;
    line.remove_prefix(end - line.data());
  }
  skip();
  return line == name && bounds[0] <= address && address <= bounds[1];
}

// Returns an errno. Sets `found` if a range of this name contains the address.
int find_in_iomem(Kernel& kernel, std::string_view name, std::uint64_t address, bool& found) {
  const int fd = kernel.open("/proc/iomem", O_RDONLY);
  if (fd < 0) return errno;
  char line[256];  // longer lines cannot have one of our names
  std::size_t used = 0;
  char text[4096];
  ssize_t got = 0;
  while (!found && (got = kernel.read(fd, text, sizeof text)) > 0)
    for (const char c : std::string_view(text, static_cast<std::size_t>(got))) {
      if (c != '\n') {
        if (used < sizeof line) line[used++] = c;
        continue;
      }
      found = found || holds({line, used}, name, address);
      used = 0;
    }
  const int error = got < 0 ? errno : 0;
  kernel.close(fd);
  return error;
}

}  // namespace

std::optional<std::uint64_t> PagemapFrames::frame(pid_t pid, std::uintptr_t address) {
  const auto entry = entry_of(kernel_, ("/proc/" + std::to_string(pid) + "/pagemap").c_str(), address);
  if (!entry) return std::nullopt;
  const std::uint64_t frame = *entry & pagemap::frame_mask;
  if ((*entry & pagemap::present) == 0 || frame == 0) return std::nullopt;
  return frame;
}

int page_location(Kernel& kernel, std::uintptr_t address, std::string_view device_memory, Location& location) {
  const auto entry = entry_of(kernel, "/proc/self/pagemap", address);
  if (!entry) return EIO;
  location = Location::none;
  if ((*entry & (pagemap::present | pagemap::swapped)) == 0) return 0;
  location = Location::system;
  if ((*entry & pagemap::present) != 0) return 0;
  const std::uint64_t frame = (*entry & pagemap::frame_mask) >> pagemap::swap_type_bits;
  if (frame == 0) return EPERM;  // the kernel hides frames without CAP_SYS_ADMIN
  bool in_device = false;
  const int error = find_in_iomem(kernel, device_memory, frame * page, in_device);
  if (in_device) location = Location::device;
  return error;
}

std::string frames_unavailable(Kernel& kernel) {
  // A page of our own stack is certainly present.
  volatile char here = 1;
  PagemapFrames frames(kernel);
  if (frames.frame(getpid(), reinterpret_cast<std::uintptr_t>(&here))) return {};
  return "page frames cannot be read from /proc/self/pagemap: that needs root (CAP_SYS_ADMIN)";
}

}  // namespace faultline
