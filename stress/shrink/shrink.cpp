#include "stress/shrink/shrink.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/language/printer.h"
#include "stress/generate/renumber.h"
#include "stress/shrink/reductions.h"

namespace faultline {

std::size_t weight(const Program& program) {
  std::size_t weight =
      100 * (program.processes.size() + program.devices.size() + program.files.size() + program.barriers.size()) +
      30 * program.threads.size() + 10 * program.regions.size() + program.observes.size();
  for (const Region& region : program.regions) weight += static_cast<std::size_t>(region.pages);
  for (const Thread& thread : program.threads) {
    weight += 10 * thread.statements.size();
    for (const Statement& statement : thread.statements)
      std::visit(
          [&](const auto& o) {
            if constexpr (requires { o.range; }) weight += static_cast<std::size_t>(o.range.count > 1);
            if constexpr (requires { o.fail; }) weight += static_cast<std::size_t>(o.fail > 0);
          },
          statement.operation);
  }
  return weight;
}

Shrinker::Shrinker(const Program& program, double rate, double keep) : best_(program), rate_(rate), least_(keep * rate) {
  seen_.insert(print(program));
}

// A candidate that shows the finding at the least rate would show none in so many iterations once in 150 times.
std::size_t Shrinker::iterations_wanted() const { return static_cast<std::size_t>(std::ceil(5 / least_)); }

// The candidates of the next step. False if a whole round of steps has changed nothing.
bool Shrinker::fill() {
  if (step_ == reductions().size()) {
    if (!std::exchange(changed_, false)) return false;
    step_ = 0;
  }
  candidates_ = reductions()[step_++](best_);
  at_ = 0;
  return true;
}

std::optional<Program> Shrinker::next() {
  while (true) {
    while (at_ < candidates_.size()) {
      const std::optional<Program> program = normal(tidied(candidates_[at_++]));
      if (!program || weight(*program) >= weight(best_) || !seen_.insert(print(*program)).second) continue;
      return asked_ = program;
    }
    if (!fill()) return std::nullopt;
  }
}

void Shrinker::told(double rate) {
  const std::optional<Program> candidate = std::exchange(asked_, std::nullopt);
  if (!candidate || rate < least_ || rate <= 0) return;
  best_ = *candidate;
  rate_ = rate;
  changed_ = true;
  // Again with the same step: what it took away may not be all that it can. Those that were tried are passed over.
  if (step_ > 0) --step_;
  candidates_.clear();
  at_ = 0;
}

}  // namespace faultline
