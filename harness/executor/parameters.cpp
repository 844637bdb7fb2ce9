#include "harness/executor/parameters.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>

#include "harness/executor/bandit.h"

namespace faultline {
namespace {

int barriers_of(const Thread& thread) {
  return static_cast<int>(std::ranges::count_if(
      thread.statements, [](const Statement& statement) { return std::holds_alternative<op::Barrier>(statement.operation); }));
}

std::int64_t draw_offset(std::mt19937_64& random, std::int64_t longest_ns) {
  constexpr std::int64_t shortest_ns = 10;
  const int kind = below(random, 8);
  if (kind == 0) return 0;
  if (kind == 1) longest_ns *= 10;
  return log_uniform(random, shortest_ns, longest_ns);
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

Row row_of(const Parameters& parameters, std::uint64_t index) {
  const std::size_t row = index % parameters.offsets.size();
  if (parameters.disturbances.empty()) return {parameters.offsets[row], {}};
  return {parameters.offsets[row], parameters.disturbances[row]};
}

bool has_signals(const Parameters& parameters) {
  for (const auto& disturbances : parameters.disturbances)
    for (const Disturbance& disturbance : disturbances)
      if (disturbance.kind == Disturbance::Kind::signals) return true;
  return false;
}

Parameters draw_parameters(const Program& program, std::uint64_t seed, int rows, const Circumstances& here,
                           Preferences& preferences) {
  std::mt19937_64 random(seed);
  Parameters drawn;
  drawn.seed = seed;
  const int threads = static_cast<int>(program.threads.size());
  const Placement placement = preferences.placement(random);
  const int turn = below(random, here.cpus), taken = below(random, here.cpus);
  for (int thread = 0; thread < threads; ++thread) {
    const int anywhere = below(random, here.cpus);
    drawn.cpus.push_back(placement == Placement::scheduler ? -1
                         : placement == Placement::spread  ? (thread + turn) % here.cpus
                                                           : anywhere);
  }
  const int length = row_length(program);
  for (int row = 0; row < rows; ++row) {
    std::vector<std::int64_t> offsets(static_cast<std::size_t>(length));
    for (std::int64_t& offset : offsets) offset = draw_offset(random, here.longest_offset_ns);
    drawn.offsets.push_back(std::move(offsets));
    const auto kind = preferences.disturbance(random);
    drawn.disturbances.push_back(kind ? draw_disturbances(*kind, program, here, taken, random) : std::vector<Disturbance>{});
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
  if (!parameters.disturbances.empty() && parameters.disturbances.size() != parameters.offsets.size())
    return "parameters: disturbances of " + std::to_string(parameters.disturbances.size()) + " rows, offsets of " +
           std::to_string(parameters.offsets.size());
  for (const auto& disturbances : parameters.disturbances)
    if (const std::string wrong = misfit(disturbances, program, cpus); !wrong.empty()) return "parameters: " + wrong;
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
