// A run that gets its work from a WorkSource.
#include <algorithm>
#include <chrono>

#include "harness/run/runner.h"

namespace faultline {

using std::chrono::duration;
using std::chrono::steady_clock;

// What the source wants to run next. If the target is not there, that is kept as its failure.
std::optional<Work> Runner::work_of(WorkSource& source, const TargetWord& target) {
  std::string& failure = result_.failures[target.word()];
  Session* machine = machines_.at(target.machine());
  if (!machine) {
    failure = "the machine did not start: " + machines_.failure(target.machine());
    return std::nullopt;
  }
  const agent::TargetInfo* info = find_target(machine->hello(), target.name);
  if (!info || !info->available) {
    failure = "the target is not there: " + (info ? info->why : "the agent does not know it");
    return std::nullopt;
  }
  std::optional<Work> work = source.next(target.word(), info->capabilities);
  const bool ran = std::ranges::any_of(pairs_, [&](const Pair& pair) { return pair.target == target; });
  if (!work && !stopped() && !ran && !result_.forgotten.contains(target.word())) failure = "no scenario runs there";
  return work;
}

std::size_t Runner::pair_of(const std::shared_ptr<const Scenario>& scenario, const TargetWord& target) {
  const auto same = std::ranges::find_if(
      pairs_, [&](const Pair& pair) { return pair.own == scenario && pair.target == target && !pair.closed; });
  if (same != pairs_.end()) return static_cast<std::size_t>(same - pairs_.begin());
  Pair pair;
  pair.scenario = scenario.get();
  pair.own = scenario;
  pair.target = target;
  pair.trial.file = scenario->file;
  pair.trial.target = target.word();
  pair.trial.program = scenario->program;
  pair.trial.seed = options_.seed;
  pairs_.push_back(std::move(pair));
  return pairs_.size() - 1;
}

void Runner::forget(std::size_t index) {
  Pair& pair = pairs_[index];
  close(pair);
  std::erase_if(predictions_, [&](const auto& each) { return each.first.first == pair.scenario; });
  const Verdict found = verdict(pair.trial);
  if (found != Verdict::agree && found != Verdict::skipped && found != Verdict::inconclusive) return;
  result_.forgotten[pair.trial.target].push_back(found);
  pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Runner::run_by_source(double seconds, WorkSource& source) {
  const auto now = [&] { return duration<double>(steady_clock::now() - start_).count(); };
  std::map<std::string, double> used;
  std::vector<TargetWord> open = options_.targets;
  while (!open.empty() && now() < seconds && !stopped()) {
    const auto target = std::ranges::min_element(open, {}, [&](const TargetWord& each) { return used[each.word()]; });
    const double before = now();
    const std::optional<Work> work = work_of(source, *target);
    if (!work) {
      open.erase(target);
      continue;
    }
    const std::size_t index = pair_of(work->scenario, *target);
    slice(pairs_[index], work->iterations, std::clamp(seconds - now(), 0.01, work->seconds), work->seed);
    used[target->word()] += now() - before;
    if (source.told(pairs_[index].trial, pairs_[index].closed)) forget(index);
  }
}

}  // namespace faultline
