#include "harness/run/run.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "harness/run/trial_runner.h"

namespace faultline {
namespace {

constexpr double first_slice_s = 0.04;
constexpr double longest_slice_s = 20;
// A slice that is shorter than this is not cut in two: to begin and to end one takes some hundredths of a second in the lab.
constexpr double shortest_cut_s = 0.4;
constexpr double end_s = 0.5;  // to end the machines
constexpr std::uint64_t no_end = 1'000'000'000;

void run_by_iterations(TrialRunner& runner, std::vector<OpenTrial>& trials, std::uint64_t iterations) {
  for (OpenTrial& open : trials) {
    while (!open.closed && !runner.stopped() && open.trial.iterations < iterations) {
      const int lost = open.trial.machines_lost;
      runner.slice(open, iterations - open.trial.iterations, std::nullopt);
      // Continue only after a lost machine. Iterations without an outcome, such as hangs, are not repeated.
      if (open.trial.machines_lost == lost) break;
    }
    if (runner.stopped()) return;
    runner.close(open);
  }
}

// One round over the trials that are open, until `end`, a time of the runner. False if the run is to stop.
bool one_round(TrialRunner& runner, std::vector<OpenTrial>& trials, bool first, double end) {
  auto left = std::ranges::count_if(trials, [](const OpenTrial& open) { return !open.closed; });
  for (OpenTrial& open : trials) {
    if (open.closed) continue;
    const double share = (end - runner.seconds()) / static_cast<double>(left--);
    if (runner.stopped() || (!first && share <= 0)) return false;
    runner.slice(open, no_end, std::clamp(share, 0.0, first ? first_slice_s : longest_slice_s));
  }
  return true;
}

void run_by_time(TrialRunner& runner, std::vector<OpenTrial>& trials, double seconds) {
  const double end = seconds - std::min(end_s, seconds / 10);
  for (bool first = true;; first = false) {
    const auto open = std::ranges::count_if(trials, [](const OpenTrial& each) { return !each.closed; });
    const double now = runner.seconds();
    if (open == 0 || (!first && now >= end)) return;
    const bool cut = (end - now) / static_cast<double>(open) > shortest_cut_s;
    if (!one_round(runner, trials, first, cut ? now + (end - now) / 2 : end)) return;
  }
}

}  // namespace

int RunResult::exit_code() const {
  std::map<std::string, std::vector<Verdict>> by_target;
  for (const Trial& trial : trials) {
    // A trial that was not run because of an interrupt is undecided: an interrupted night is not "all agree".
    by_target[trial.target].push_back(trial.started ? verdict(trial) : Verdict::inconclusive);
  }
  if (!journal_failure.empty()) by_target["journal"].push_back(Verdict::error);
  return faultline::exit_code(by_target);
}

RunResult run(const std::vector<Scenario>& scenarios, const RunOptions& options, const Predictor& predictor, Journal& journal,
              const RunEvents& events) {
  std::vector<std::string> files;
  for (const Scenario& scenario : scenarios) files.push_back(scenario.file);
  TrialRunner runner(options, predictor, journal, events, files);
  runner.require_local_targets();
  std::vector<OpenTrial> trials;
  for (const TargetWord& target : options.targets)
    for (const Scenario& scenario : scenarios)
      trials.push_back(runner.open(std::make_shared<const Scenario>(scenario), target, trials.size() + 1));
  runner.expect(trials.size());
  if (options.seconds) run_by_time(runner, trials, *options.seconds);
  else run_by_iterations(runner, trials, options.iterations);
  for (OpenTrial& open : trials)
    if (open.trial.started) runner.close(open);
  RunResult result;
  for (OpenTrial& open : trials) result.trials.push_back(std::move(open.trial));
  runner.end(result);
  return result;
}

DeviceClass class_of_claims(const Program& program) {
  return program.devices.empty() ? DeviceClass::recoverable : program.devices.front().device_class;
}

}  // namespace faultline
