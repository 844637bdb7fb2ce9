// Visits every state that the threads of a Subject can reach, each once.
//
// Depth first, by any number of workers, each with a Machine of its own and all with one set of seen
// states. A state is told by 128 bits of XXH3 over its bytes (two that share one would be taken for one),
// equal threads exchanged. What a worker meets first is its own to go on from; one that has nothing left
// takes over an untried branch from another and replays the choices that lead to it. So which states
// there are, and what holds in them, does not depend on the number of workers.
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

// `at_end` sees each end state, one at a time, and whether some thread waits in it in vain. `keep_going` is
// asked now and then, by the calling thread; false ends the exploration, incomplete.
Exploration explore(const Subject& subject, const Limits& limits,
                    const std::function<void(const void* world, bool waits)>& at_end,
                    const std::function<bool(std::uint64_t states)>& keep_going = {});

}  // namespace faultline::ref
