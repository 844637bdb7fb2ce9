#include "harness/executor/page_means.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "harness/executor/layout.h"
#include "harness/queries.h"

namespace faultline {
namespace {

constexpr std::array<const char*, 2> disks{"/dev/zram0", "/dev/ram1"};

// The disk with swap on it; null: none.
const char* swap_disk() {
  std::ifstream in("/proc/swaps");
  for (std::string line; std::getline(in, line);)
    for (const char* disk : disks)
      if (line.starts_with(disk)) return disk;
  return nullptr;
}

// A zram disk has no size at first.
void size_zram() { std::ofstream("/sys/block/zram0/disksize") << "64M"; }

// What mkswap writes: union swap_header of linux/swap.h, version 1.
bool make_swap(const char* path) {
  const int disk = open(path, O_RDWR | O_CLOEXEC);
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

bool give_swap() {
  if (swap_disk()) return true;
  size_zram();
  for (const char* disk : disks)
    if (make_swap(disk) && swapon(disk, 0) == 0) return true;
  return false;
}

bool pages_out(const Program& program) {
  return any_operation(program, [](const Operation& o) {
    const auto* advise = std::get_if<op::Madvise>(&o);
    return advise && advise->advice == op::Advice::pageout;
  });
}

}  // namespace

PageMeans arrange_page_means(const Program& program, const Target& target) {
  if (pages_out(program)) {
    if (const char* disk = swap_disk()) swapoff(disk);
    return {};
  }
  if (!target.bears_page_changes() || !bears_page_changes(program)) return {};
  return {.swap = give_swap(), .nodes = std::filesystem::exists("/sys/devices/system/node/node1")};
}

}  // namespace faultline
