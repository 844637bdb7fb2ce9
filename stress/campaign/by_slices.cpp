#include "stress/campaign/by_slices.h"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <utility>

#include "harness/run/trial_runner.h"

namespace faultline {
namespace {

constexpr double shortest_slice_s = 0.01;
constexpr double end_s = 0.5;  // to end the machines

class Slices {
 public:
  Slices(WorkSource& source, TrialRunner& runner) : source_(source), runner_(runner) {}

  void run(std::vector<TargetWord> targets, double seconds) {
    std::map<std::string, double> used;
    while (!targets.empty() && runner_.seconds() < seconds && !runner_.stopped()) {
      const auto target = std::ranges::min_element(targets, {}, [&](const TargetWord& each) { return used[each.word()]; });
      const double before = runner_.seconds();
      const bool ran = slice(*target, seconds);
      used[target->word()] += runner_.seconds() - before;
      if (!ran) targets.erase(target);
    }
    while (!open_.empty()) forget(open_.begin());
  }

  // What a slice was too short to decide counts only on a target where no slice has decided anything.
  std::vector<Trial> take_trials() {
    std::erase_if(trials_, [&](const Trial& trial) {
      return verdict(trial) == Verdict::inconclusive && kept_.contains({trial.target, Verdict::agree});
    });
    return std::move(trials_);
  }

 private:
  // False if there is no more work on the target.
  bool slice(const TargetWord& target, double end) {
    std::string why;
    const std::optional<Capabilities> can = runner_.capabilities(target, why);
    if (!can) {
      fail(target, why);
      return false;
    }
    std::optional<Work> work = source_.next(target.word(), *can);
    if (!work) {
      if (!tried_.contains(target.word()) && !runner_.stopped()) fail(target, "no scenario runs there");
      return false;
    }
    tried_.insert(target.word());
    auto open = std::ranges::find_if(
        open_, [&](const OpenTrial& each) { return each.scenario == work->scenario && each.target == target && !each.closed; });
    if (open == open_.end()) open = open_.insert(open_.end(), runner_.open(work->scenario, target, ++count_));
    runner_.slice(*open, work->iterations, std::clamp(end - runner_.seconds(), shortest_slice_s, work->seconds), work->seed);
    if (source_.told(open->trial, open->closed)) forget(open);
    return true;
  }

  void fail(const TargetWord& target, const std::string& why) {
    if (runner_.stopped()) return;
    Trial trial;
    trial.target = target.word();
    trial.started = true;
    trial.undecided = why;
    trials_.push_back(std::move(trial));
  }

  void forget(std::list<OpenTrial>::iterator open) {
    if (open->trial.started) runner_.close(*open);
    Trial& trial = open->trial;
    const bool found = !findings(trial).empty() || !trial.error.empty();
    if (!found && trial.started && kept_.insert({trial.target, verdict(trial)}).second) {
      trial.seen.clear();
      trials_.push_back(std::move(trial));
    } else if (found) {
      trials_.push_back(std::move(trial));
    }
    open_.erase(open);
  }

  WorkSource& source_;
  TrialRunner& runner_;
  std::list<OpenTrial> open_;
  std::size_t count_ = 0;
  std::vector<Trial> trials_;
  std::set<std::string> tried_;
  std::set<std::pair<std::string, Verdict>> kept_;
};

}  // namespace

RunResult run_by_slices(WorkSource& source, const RunOptions& options, const Predictor& predictor, Journal& journal,
                        const RunEvents& events) {
  TrialRunner runner(options, predictor, journal, events, {});
  runner.require_local_targets();
  Slices slices(source, runner);
  const double seconds = options.seconds.value_or(0);
  slices.run(options.targets, seconds - std::min(end_s, seconds / 10));
  RunResult result;
  result.trials = slices.take_trials();
  runner.end(result);
  return result;
}

}  // namespace faultline
