// Where everything of a Program is: addresses of regions, places in the results area, who leads whom.
// Worked out once, read by every process of the run.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/program.h"

namespace faultline {

inline constexpr std::size_t page_bytes = 4096;

// Regions lie at the same fixed addresses in every process, 16 MiB apart: each at a 2 MiB boundary, with
// nothing mapped between one and the next.
#if defined(__SANITIZE_ADDRESS__)
// The address below is inside AddressSanitizer's shadow gap.
inline constexpr std::uintptr_t regions_base = 0x2000'0000'0000;
#else
inline constexpr std::uintptr_t regions_base = 0x10'0000'0000;
#endif
inline constexpr std::size_t region_stride = std::size_t{16} << 20;
inline constexpr std::size_t regions_span = region_stride * limits::regions;

std::uintptr_t address_of(Cell cell);
inline std::uintptr_t address_of(const PageRange& range) { return address_of(Cell{range.region, range.first}); }
inline std::size_t bytes_of(const PageRange& range) { return static_cast<std::size_t>(range.count) * page_bytes; }

struct Layout {
  explicit Layout(const Program& program);

  std::vector<int> first_slot;               // by thread: its first statement's place in Area::slots
  std::vector<int> first_offset;             // by thread: its first offset in a row of Parameters
  std::vector<std::vector<int>> threads_of;  // by process; the first is the one that the leader runs
  std::vector<int> forker;                   // by process: the thread that forks it, -1 for a root
  struct Party {
    int thread = 0;
    std::uint32_t uses = 0;  // statements of it that name the barrier
  };
  std::vector<std::vector<Party>> meeting;   // by barrier: the threads that name it
  std::vector<std::vector<int>> opens;       // by process: devices that are open when its threads start
  std::vector<int> root_of;                  // by process: the root of its tree
  bool ends_root = false;                    // an operation ends a root: processes live for one iteration
  bool has_barriers = false;
};

}  // namespace faultline
