// Visits every state that the modelled threads can reach, each once.
//
// Depth first. A state is bytes: the World, the suspensions and the used part of each thread's stack, all
// at fixed addresses, so that going back is a copy and recognising is a hash (128 bits of XXH3; two
// states that share one would be taken for one). States are never merged that differ in any byte, and
// all that a thread will do follows from the bytes, so a state seen before has nothing new to offer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels_ref/cpu.h"

namespace faultline::ref {

struct Exploration {
  bool complete = false;
  std::uint64_t states = 0;
  std::uint64_t steps = 0;
  std::uint64_t ends = 0;         // states in which no thread can go on
  std::uint32_t broken = 0;       // bit per Broken
  std::uint32_t known_bugs = 0;   // bit per KnownBug
};

struct Limits {
  std::uint64_t states = 20'000'000;
  bool recognise = true;  // false: every execution on its own (for tests of the recognition)
};

// `start` fills the World of a zeroed State; threads are those of shape.program. `at_end` sees each end
// state. `keep_going` is asked now and then; false ends the exploration, incomplete.
Exploration explore(const Shape& shape, const std::function<void(World&)>& start, const Limits& limits,
                    const std::function<void(const World&)>& at_end,
                    const std::function<bool(std::uint64_t states)>& keep_going = {});

}  // namespace faultline::ref
