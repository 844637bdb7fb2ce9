// Address space of a storm's processes.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace faultline::storms {

inline constexpr std::size_t page_size = 4096;

// Address space between two pages that nothing touches, so that what is mapped there is a VMA of its own; and test_hmm's
// callback forgets one page more than its range. 0 if there is none.
inline std::uintptr_t reserve(std::size_t bytes) {
  void* const all = mmap(nullptr, bytes + 2 * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return all == MAP_FAILED ? 0 : reinterpret_cast<std::uintptr_t>(all) + page_size;
}

// Maps small pages there. `fixed`: MAP_FIXED or MAP_FIXED_NOREPLACE.
inline bool map_pages(std::uintptr_t address, std::size_t bytes, int fixed) {
  void* const where = reinterpret_cast<void*>(address);
  if (mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0) != where) return false;
  madvise(where, bytes, MADV_NOHUGEPAGE);
  return true;
}

}  // namespace faultline::storms
