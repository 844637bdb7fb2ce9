// What a run varies on purpose: where threads run, how far apart they start, and what disturbs them (disturbance.h).
//
// Parameters are drawn from a seed, once for each batch of iterations. They are reported as drawn, so that a replay uses the
// numbers in the journal and not what a later version would draw from the seed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "harness/executor/disturbance.h"
#include "harness/program.h"

namespace faultline {

struct Parameters {
  std::uint64_t seed = 0;  // that these were drawn from; a replay does not use it
  // CPU of each thread of the Program, as an index into the CPUs that the agent may use. -1: any CPU.
  std::vector<int> cpus;
  // Rows of delays in ns. Iteration i of the batch uses row i modulo their number. For each thread, a row holds the offset
  // of its start and one offset after each of its barriers.
  std::vector<std::vector<std::int64_t>> offsets;
  // For each row of offsets, what disturbs the iterations that use it. Empty if nothing does.
  std::vector<std::vector<Disturbance>> disturbances;
  friend bool operator==(const Parameters&, const Parameters&) = default;
};

inline constexpr int most_rows = 64;

// The parameters of one iteration.
struct Row {
  const std::vector<std::int64_t>& offsets;
  std::span<const Disturbance> disturbances;
};

// Whether some iteration has Disturbance::Kind::signals.
bool has_signals(const Parameters& parameters);

// Those of iteration `index` of the batch.
Row row_of(const Parameters& parameters, std::uint64_t index);

// How threads are placed: the scheduler decides, or they are spread over the CPUs so that they overlap best, or each is on some
// CPU, several on one included.
enum class Placement : std::uint8_t { scheduler, spread, anywhere };
inline constexpr int placement_ways = 3;

// Numbers in one row: for each thread 1 + the number of its barrier statements. first_offset() is the thread's first index.
int row_length(const Program& program);
int first_offset(const Program& program, int thread);

class Preferences;  // bandit.h

// Draws `rows` rows. Offsets are log-uniform up to here.longest_offset_ns. One in eight is zero, and one in eight goes up to ten
// times that, because a fork takes as long as a hundred faults. `preferences` say which placement and which disturbances; they
// are asked once for each row, so a batch has several kinds.
Parameters draw_parameters(const Program& program, std::uint64_t seed, int rows, const Circumstances& here,
                           Preferences& preferences);

// Empty if `parameters` fit the program and this machine; otherwise what is wrong with them.
std::string misfit(const Parameters& parameters, const Program& program, int cpus);

// The seed of batch `batch` of a run.
std::uint64_t batch_seed(std::uint64_t run_seed, std::uint64_t batch);

// The longest useful offset between starts on this machine: the measured time of twenty page faults (20 us on a current
// machine, a few hundred under emulation).
std::int64_t measure_longest_offset_ns();

}  // namespace faultline
