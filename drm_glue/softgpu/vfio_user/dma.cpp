#include "drm_glue/softgpu/vfio_user/dma.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <iterator>

namespace faultline::vfio_user {
namespace {

constexpr std::uint64_t page = 4096;

// Whether a mapping of the file has memory everywhere.
bool file_holds(int fd, std::uint64_t offset, std::uint64_t size) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && size <= static_cast<std::uint64_t>(status.st_size) &&
         offset <= static_cast<std::uint64_t>(status.st_size) - size;
}

}  // namespace

int DmaMap::map(const DmaMapRequest& request, int fd) {
  const std::uint64_t address = request.address, size = request.size;
  if (size == 0 || size % page || address % page || request.offset % page) return EINVAL;
  if (address + (size - 1) < address) return EINVAL;
  if (ranges_.size() >= most) return ENOSPC;
  const auto next = ranges_.upper_bound(address);
  if (next != ranges_.end() && next->first - address < size) return EEXIST;
  if (next != ranges_.begin() && address - std::prev(next)->first < std::prev(next)->second.size) return EEXIST;

  const bool readable = request.flags & VFIO_DMA_MAP_FLAG_READ, writable = request.flags & VFIO_DMA_MAP_FLAG_WRITE;
  std::byte* memory = nullptr;
  if (fd >= 0) {
    if (!file_holds(fd, request.offset, size)) return EINVAL;
    const int access = (readable || writable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0);
    void* mapped = mmap(nullptr, size, access, MAP_SHARED, fd, static_cast<off_t>(request.offset));
    if (mapped == MAP_FAILED) return errno;
    memory = static_cast<std::byte*>(mapped);
  }
  ranges_[address] = {size, memory, readable, writable};
  return 0;
}

int DmaMap::unmap(std::uint64_t address, std::uint64_t size) {
  const auto found = ranges_.find(address);
  if (found == ranges_.end() || found->second.size != size) return ENOENT;
  if (found->second.memory) munmap(found->second.memory, size);
  ranges_.erase(found);
  return 0;
}

void DmaMap::unmap_all() {
  for (const auto& [address, range] : ranges_)
    if (range.memory) munmap(range.memory, range.size);
  ranges_.clear();
}

std::byte* DmaMap::at(std::uint64_t address, std::uint64_t size, bool write) const {
  auto found = ranges_.upper_bound(address);
  if (found == ranges_.begin()) return nullptr;
  --found;
  const Range& range = found->second;
  const std::uint64_t offset = address - found->first;
  if (!range.memory || offset >= range.size || size > range.size - offset) return nullptr;
  return (write ? range.writable : range.readable) ? range.memory + offset : nullptr;
}

}  // namespace faultline::vfio_user
