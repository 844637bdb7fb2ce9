// What a run varies on purpose: where threads run and how far apart they start.
//
// Parameters are drawn from a seed, once for each batch of iterations. They are reported as drawn, so that a replay uses the
// numbers in the journal and not what a later version would draw from the seed.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "harness/program.h"

namespace faultline {

struct Parameters {
  std::uint64_t seed = 0;  // that these were drawn from; a replay does not use it
  // CPU of each thread of the Program, as an index into the CPUs that the agent may use. -1: any CPU.
  std::vector<int> cpus;
  // Rows of delays in ns. Iteration i of the batch uses row i modulo their number. For each thread, a row holds the offset
  // of its start and one offset after each of its barriers.
  std::vector<std::vector<std::int64_t>> offsets;
  friend bool operator==(const Parameters&, const Parameters&) = default;
};

inline constexpr int most_rows = 64;

// Numbers in one row: for each thread 1 + the number of its barrier statements. first_offset() is the thread's first index.
int row_length(const Program& program);
int first_offset(const Program& program, int thread);

// Draws `rows` rows. Offsets are log-uniform up to `longest_ns`. One in eight is zero, and one in eight goes up to ten
// times `longest_ns`, because a fork takes as long as a hundred faults.
Parameters draw_parameters(const Program& program, std::uint64_t seed, int rows, int cpus, std::int64_t longest_ns);

// Empty if `parameters` fit the program and this machine; otherwise what is wrong with them.
std::string misfit(const Parameters& parameters, const Program& program, int cpus);

// The seed of batch `batch` of a run.
std::uint64_t batch_seed(std::uint64_t run_seed, std::uint64_t batch);

// The longest useful offset between starts on this machine: the measured time of twenty page faults (20 us on a current
// machine, a few hundred under emulation).
std::int64_t measure_longest_offset_ns();

}  // namespace faultline
