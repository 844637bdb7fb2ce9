// A tree of processes that fork while their threads store, through the CPU, the device, and pinned pages.
//
// Each page of a process has one thread that stores to it, and each value names the process and counts up. So every load has
// one right answer: what this process stored last, or what its parent had there when it forked. A child holds nothing that its
// parent began to store after fork() had returned, and lacks nothing that it had stored before; and no parent ever sees a store
// of its child. Each process opens the device for itself: an inherited descriptor is of its parent's mm.
#pragma once

#include <cstdint>

#include "harness/target.h"
#include "stress/storms/board.h"

namespace faultline::storms {

struct FamilyPlan {
  int processes = 8;  // alive at once, at most
  std::uint64_t seed = 0;
  std::int64_t work_ns = 0;  // then no process forks any more, and each ends when its children have
};

inline constexpr int most_alive = 128;

// Runs in a process of its own and never returns. It ends with status 0 when its children have ended.
[[noreturn]] void be_family(const FamilyPlan& plan, Target& target, Board& board);

// Whether a child may hold `value`. `least`: what its parent had stored there before fork() began. `newest`: the last value
// whose store had begun when fork() returned. Values name the process in their upper half.
constexpr bool may_inherit(std::uint64_t value, std::uint64_t least, std::uint64_t newest) {
  if (value == least) return true;
  if (value >> 32 != newest >> 32 || value > newest) return false;
  return least >> 32 != newest >> 32 || value > least;
}

}  // namespace faultline::storms
