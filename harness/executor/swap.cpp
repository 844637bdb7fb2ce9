#include "harness/executor/swap.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string>

#include "harness/executor/disturbance.h"
#include "harness/executor/layout.h"
#include "harness/queries.h"

namespace faultline {
namespace {

constexpr const char* ram_disk = "/dev/ram1";

bool is_on() {
  std::ifstream in("/proc/swaps");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(ram_disk)) return true;
  return false;
}

// What mkswap writes: union swap_header of linux/swap.h, version 1.
bool make_swap() {
  const int disk = open(ram_disk, O_RDWR | O_CLOEXEC);
  if (disk < 0) return false;
  std::uint64_t bytes = 0;
  std::array<char, page_bytes> page{};
  if (ioctl(disk, BLKGETSIZE64, &bytes) == 0 && bytes > page_bytes) {
    const std::array<std::uint32_t, 2> version_and_last_page{1, static_cast<std::uint32_t>(bytes / page_bytes - 1)};
    std::memcpy(page.data() + 1024, version_and_last_page.data(), sizeof version_and_last_page);
    std::memcpy(page.data() + page.size() - 10, "SWAPSPACE2", 10);
    bytes = static_cast<std::uint64_t>(pwrite(disk, page.data(), page.size(), 0));
  }
  close(disk);
  return bytes == page.size();
}

bool pages_out(const Program& program) {
  return any_operation(program, [](const Operation& o) {
    const auto* advise = std::get_if<op::Madvise>(&o);
    return advise && advise->advice == op::Advice::pageout;
  });
}

}  // namespace

bool arrange_swap(const Program& program, const Target& target) {
  if (pages_out(program)) {
    if (is_on()) swapoff(ram_disk);
    return false;
  }
  if (!target.bears_reclaim() || !bears_reclaim(program)) return false;
  return is_on() || (make_swap() && swapon(ram_disk, 0) == 0);
}

}  // namespace faultline
