// What a run varies on purpose: where threads run and how far apart they start.
//
// Parameters are drawn once for a batch of iterations from a seed, and they are reported as drawn, so
// that a replay takes the numbers of the journal and not what a later version would draw.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "harness/program.h"

namespace faultline {

struct Parameters {
  std::uint64_t seed = 0;  // what these were drawn from; a replay does not use it
  // CPU of each thread of the Program, as an index into the CPUs that the agent may use; -1 for free.
  std::vector<int> cpus;
  // Rows of delays in ns; iteration i of the batch uses row i modulo their number. A row holds, thread by
  // thread, the offset at its start and one after each of its barriers.
  std::vector<std::vector<std::int64_t>> offsets;
  friend bool operator==(const Parameters&, const Parameters&) = default;
};

// Numbers in one row: for each thread 1 + its barrier statements. `first_offset` is where a thread's begin.
int row_length(const Program& program);
int first_offset(const Program& program, int thread);

// `rows` rows. Offsets are log-uniform up to `longest_ns`; one in eight is zero, and one in eight goes up to
// ten times that (a fork takes as long as a hundred faults).
Parameters draw_parameters(const Program& program, std::uint64_t seed, int rows, int cpus, std::int64_t longest_ns);

// Empty when `parameters` fit the program and this machine, else what is wrong with them.
std::string misfit(const Parameters& parameters, const Program& program, int cpus);

// The seed of batch `batch` of a run.
std::uint64_t batch_seed(std::uint64_t run_seed, std::uint64_t batch);

// How far apart starts are worth trying on this machine: some twenty page-fault times, measured (20 us on
// a machine of today, a few hundred under emulation).
std::int64_t measure_longest_offset_ns();

}  // namespace faultline
