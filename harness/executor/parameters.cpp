#include "harness/executor/parameters.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace faultline {
namespace {

int barriers_of(const Thread& thread) {
  return static_cast<int>(std::ranges::count_if(
      thread.statements, [](const Statement& statement) { return std::holds_alternative<op::Barrier>(statement.operation); }));
}

// Unlike the standard distributions, these give the same numbers with every C++ library.
int below(std::mt19937_64& random, int bound) { return static_cast<int>(random() % static_cast<std::uint64_t>(bound)); }
double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

std::int64_t draw_offset(std::mt19937_64& random, std::int64_t longest_ns) {
  constexpr double shortest_ns = 10;
  const int kind = below(random, 8);
  if (kind == 0) return 0;
  if (kind == 1) longest_ns *= 10;
  const double range = std::log(std::max<double>(static_cast<double>(longest_ns), shortest_ns) / shortest_ns);
  return static_cast<std::int64_t>(shortest_ns * std::exp(unit(random) * range));
}

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

}  // namespace

int first_offset(const Program& program, int thread) {
  int sum = 0;
  for (int i = 0; i < thread; ++i) sum += 1 + barriers_of(program.threads[i]);
  return sum;
}

int row_length(const Program& program) { return first_offset(program, static_cast<int>(program.threads.size())); }

Parameters draw_parameters(const Program& program, std::uint64_t seed, int rows, int cpus, std::int64_t longest_ns) {
  std::mt19937_64 random(seed);
  Parameters drawn;
  drawn.seed = seed;
  const int threads = static_cast<int>(program.threads.size());
  // Half of the batches leave placement to the scheduler. A quarter spreads the threads over the CPUs, so that they overlap
  // best. A quarter places each thread at random, several on one CPU included.
  const int style = below(random, 4);
  const int turn = below(random, cpus);
  for (int thread = 0; thread < threads; ++thread) {
    const int anywhere = below(random, cpus);
    drawn.cpus.push_back(style < 2 ? -1 : style == 2 ? (thread + turn) % cpus : anywhere);
  }
  const int length = row_length(program);
  for (int row = 0; row < rows; ++row) {
    std::vector<std::int64_t> offsets(static_cast<std::size_t>(length));
    for (std::int64_t& offset : offsets) offset = draw_offset(random, longest_ns);
    drawn.offsets.push_back(std::move(offsets));
  }
  return drawn;
}

std::string misfit(const Parameters& parameters, const Program& program, int cpus) {
  constexpr std::int64_t longest_allowed_ns = 1'000'000'000;
  if (parameters.cpus.size() != program.threads.size())
    return "parameters: " + std::to_string(parameters.cpus.size()) + " cpus for " + std::to_string(program.threads.size()) +
           " threads";
  for (int cpu : parameters.cpus)
    if (cpu < -1 || cpu >= cpus) return "parameters: cpu " + std::to_string(cpu) + " of " + std::to_string(cpus);
  if (parameters.offsets.empty()) return "parameters: no row of offsets";
  if (parameters.offsets.size() > most_rows)
    return "parameters: " + std::to_string(parameters.offsets.size()) + " rows of offsets; at most " + std::to_string(most_rows) +
           " are drawn";
  for (const auto& row : parameters.offsets) {
    if (static_cast<int>(row.size()) != row_length(program))
      return "parameters: a row of " + std::to_string(row.size()) + " offsets where the program has " +
             std::to_string(row_length(program));
    for (std::int64_t offset : row)
      if (offset < 0 || offset > longest_allowed_ns) return "parameters: offset " + std::to_string(offset) + " ns";
  }
  return {};
}

std::uint64_t batch_seed(std::uint64_t run_seed, std::uint64_t batch) {
  std::uint64_t x = run_seed + 0x9e3779b97f4a7c15u * (batch + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::int64_t measure_longest_offset_ns() {
  constexpr std::size_t page = 4096;
  constexpr int rounds = 200;
  void* memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 20'000;
  const std::int64_t start = now_ns();
  for (int round = 0; round < rounds; ++round) {
    *static_cast<volatile char*>(memory) = 1;
    madvise(memory, page, MADV_DONTNEED);
  }
  const std::int64_t each = (now_ns() - start) / rounds;
  munmap(memory, page);
  return std::clamp<std::int64_t>(20 * each, 10'000, 2'000'000);
}

}  // namespace faultline
