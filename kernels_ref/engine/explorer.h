// Visits every state that the threads of a Subject can reach, each once.
//
// Depth first, by any number of workers. Each worker has its own Machine, and all share one set of seen
// states. A state is recognised by 128 bits of XXH3 over its bytes, with equal threads exchanged. (Two
// states with the same hash would be taken for one.) The worker that reaches a state first goes on from
// it. A worker that has nothing left takes over an untried branch from another worker, and replays the
// choices that lead to it. So the number of workers changes neither the states nor what holds in them.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels_ref/engine/execution.h"

namespace faultline::ref {

struct Exploration {
  bool complete = false;
  std::uint64_t states = 0;
  std::uint64_t ends = 0;     // states in which no thread can go on
  std::uint64_t deepest = 0;  // steps of the longest path that was walked
};

struct Limits {
  std::uint64_t states = 20'000'000;
  int workers = 0;        // 0: one for each core
  bool recognise = true;  // false: every execution on its own, by one worker (for tests of the recognition)
};

// `at_end` gets each end state, one at a time, and whether some thread waits in vain there. The calling thread
// asks `keep_going` now and then; false ends the exploration, incomplete.
Exploration explore(const Subject& subject, const Limits& limits,
                    const std::function<void(const void* world, bool waits)>& at_end,
                    const std::function<bool(std::uint64_t states)>& keep_going = {});

}  // namespace faultline::ref
