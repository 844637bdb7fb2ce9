// Where everything of a Program is: addresses of regions, places in the results area, who leads whom.
// Worked out once, read by every process of the run.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/program.h"
#include "harness/spans.h"

namespace faultline {

inline constexpr std::size_t page_bytes = 4096;

// Regions lie at the same fixed addresses in every process, each at a 2 MiB boundary, with nothing mapped
// between one and the next, and further apart than a stack may grow.
#if defined(__SANITIZE_ADDRESS__)
// The address below is inside AddressSanitizer's shadow gap.
inline constexpr std::uintptr_t regions_base = 0x2000'0000'0000;
#else
inline constexpr std::uintptr_t regions_base = 0x10'0000'0000;
#endif

inline constexpr std::size_t stack_limit = std::size_t{8} << 20;  // RLIMIT_STACK, as it mostly is

inline std::size_t bytes_of(const PageRange& range) { return static_cast<std::size_t>(range.count) * page_bytes; }

struct Layout {
  explicit Layout(const Program& program);

  std::uintptr_t address_of(Cell cell) const {
    return region_address[cell.region] + static_cast<std::uintptr_t>(cell.page) * page_bytes;
  }
  std::uintptr_t address_of(const PageRange& range) const { return address_of(Cell{range.region, range.first}); }
  std::size_t regions_bytes() const { return region_address.back() - regions_base; }  // with the gaps

  // The flags of mmap() that such memory is mapped with.
  int map_flags(Backing backing) const;

  Spans spans;
  bool reserves = true;  // mappings are not MAP_NORESERVE
  // And, last, where the next would lie. SVM buffers are where the driver puts them: each process fills in its own.
  std::vector<std::uintptr_t> region_address;
  std::vector<int> first_slot;               // by thread: its first statement's place in Area::slots
  std::vector<int> first_offset;             // by thread: its first offset in a row of Parameters
  std::vector<std::vector<int>> threads_of;  // by process; the first is the one that the leader runs
  std::vector<int> forker;                   // by process: the thread that forks it, -1 for a root
  struct Party {
    int thread = 0;
    std::uint32_t uses = 0;  // statements of it that name the barrier
  };
  std::vector<std::vector<Party>> meeting;  // by barrier: the threads that name it
  std::vector<std::vector<int>> opens;      // by process: devices that are open when its threads start
  std::vector<int> root_of;                 // by process: the root of its tree
  bool has_barriers = false;
  bool has_stacks = false;
};

}  // namespace faultline
