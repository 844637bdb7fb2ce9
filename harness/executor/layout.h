// Where everything in a Program lies: addresses of regions, indices into the shared area, relations between processes.
// Computed once; every process of the run reads it.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/program.h"
#include "harness/spans.h"

namespace faultline {

inline constexpr std::size_t page_bytes = 4096;

// Regions lie at the same fixed addresses in every process, each at a 2 MiB boundary. Nothing is mapped between two regions,
// and the gap is larger than a stack may grow.
#if defined(__SANITIZE_ADDRESS__)
// The address below is inside AddressSanitizer's shadow gap.
inline constexpr std::uintptr_t regions_base = 0x2000'0000'0000;
#else
inline constexpr std::uintptr_t regions_base = 0x10'0000'0000;
#endif

inline constexpr std::size_t stack_limit = std::size_t{8} << 20;  // the usual RLIMIT_STACK

inline std::size_t bytes_of(const PageRange& range) { return static_cast<std::size_t>(range.count) * page_bytes; }

struct Layout {
  explicit Layout(const Program& program);

  std::uintptr_t address_of(Cell cell) const {
    return region_address[cell.region] + static_cast<std::uintptr_t>(cell.page) * page_bytes;
  }
  std::uintptr_t address_of(const PageRange& range) const { return address_of(Cell{range.region, range.first}); }
  std::size_t regions_bytes() const { return region_address.back() - regions_base; }  // with the gaps

  // The mmap() flags for memory with this backing.
  int map_flags(Backing backing) const;

  Spans spans;
  bool reserves = true;  // mappings are not MAP_NORESERVE
  // One more entry than there are regions: the last is the end of all. The driver chooses the addresses of buffers, and each
  // process fills in its own.
  std::vector<std::uintptr_t> region_address;
  int slots = 0;                             // statements of all threads
  std::vector<int> first_slot;               // by thread: its first statement's place in Area::slots
  std::vector<int> first_offset;             // by thread: its first offset in a row of Parameters
  std::vector<std::vector<int>> threads_of;  // by process; the leader runs the first one
  std::vector<int> forker;                   // by process: the thread that forks it, -1 for a root
  struct Party {
    int thread = 0;
    std::uint32_t uses = 0;  // how many of its statements name the barrier
  };
  std::vector<std::vector<Party>> meeting;  // by barrier: the threads that name it
  std::vector<std::vector<int>> opens;      // by process: devices that are open when its threads start
  std::vector<int> root_of;                 // by process: the root of its tree
  // No process ends before its last statement, and only values are observed. So each process knows when all threads are done,
  // answers its observes without being asked, and a child that opened no device ends by itself.
  bool unasked = false;
  // Nothing needs the runner between two iterations: there is one root, and its children end by themselves with no observe to answer.
  bool unattended = false;
  std::vector<bool> has_values;  // by process: whether one of its values is observed
  bool has_children = false;
  bool has_barriers = false;
  bool has_stacks = false;
};

}  // namespace faultline
