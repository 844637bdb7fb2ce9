#include "harness/run/run.h"

#include <algorithm>
#include <map>
#include <utility>

#include "harness/language/waits.h"
#include "harness/run/known_bugs.h"
#include "harness/run/known_findings.h"
#include "harness/run/runner.h"
#include "harness/run/slice.h"

namespace faultline {
namespace {

using nlohmann::json;
using std::chrono::duration;
using std::chrono::steady_clock;

constexpr int losses_taken = 2;  // a trial is given up after it has lost this many machines
constexpr double shortest_slice = 0.25;
constexpr double longest_slice = 20;
constexpr int rounds_wanted = 4;  // a run by time makes at least this many rounds
constexpr std::uint64_t no_end = 1'000'000'000;

}  // namespace

void Runner::write(const std::string& event, const json& record) {
  if (journal_.write(event, record) || !result_.journal_failure.empty()) return;
  result_.journal_failure = journal_.failure();
  note("journal: " + result_.journal_failure + "; the run ends here");
}

void Runner::write_trial(const Pair& pair) {
  const Trial& trial = pair.trial;
  json keys = json::array();
  for (const Observable& observable : trial.allowed.schema) keys.push_back(observable.key);
  write("scenario", {{"scenario", trial.program.name},
                     {"file", trial.file},
                     {"target", trial.target},
                     {"kernel", trial.kernel},
                     {"device", trial.device},
                     {"text", pair.scenario->text},
                     {"schema", keys},
                     {"allowed", trial.allowed.outcomes.size()},
                     {"complete", trial.allowed.complete},
                     {"states", trial.allowed.states}});
}

void Runner::progress(const Pair* pair, const std::string& status) {
  if (!events_.progress) return;
  RunProgress now;
  now.count = pairs_.size();
  now.status = status;
  const double spent = duration<double>(steady_clock::now() - start_).count();
  if (pair) {
    now.index = static_cast<std::size_t>(pair - pairs_.data()) + 1;
    now.scenario = pair->trial.program.name;
    now.target = pair->trial.target;
    now.done = pair->trial.iterations;
    now.total = options_.seconds ? 0 : options_.iterations;
    std::uint64_t iterations = 0;
    double seconds = 0;
    for (const Pair& each : pairs_) iterations += each.trial.iterations, seconds += each.trial.seconds;
    now.rate = seconds > 0 ? static_cast<double>(iterations) / seconds : 0;
    const auto left = static_cast<double>(options_.iterations) * static_cast<double>(now.count) -
                      static_cast<double>(options_.iterations) * static_cast<double>(now.index - 1) -
                      static_cast<double>(now.done);
    if (!options_.seconds && now.rate > 0) now.seconds_left = std::max(0.0, left / now.rate);
  }
  if (options_.seconds) now.seconds_left = std::max(0.0, *options_.seconds - spent);
  events_.progress(now);
}

void Runner::require_local_targets() {
  for (const TargetWord& target : options_.targets) {
    if (!target.place.empty()) continue;
    Session* local = machines_.at(target.machine());
    if (!local) continue;  // its trials report that
    const agent::TargetInfo* found = find_target(local->hello(), target.name);
    if (found && (found->available || found->crashed)) continue;
    std::string known;
    for (const agent::TargetInfo& each : local->hello().targets) known += (known.empty() ? "" : ", ") + each.name;
    throw TargetNotHere("the target " + target.name + " is not here: " + (found ? found->why : "there are " + known));
  }
}

const Allowed& Runner::predicted(const Scenario& scenario, DeviceClass device_class) {
  const auto key = std::pair(&scenario, device_class);
  auto found = predictions_.find(key);
  if (found == predictions_.end())
    found =
        predictions_.emplace(key, predictor_(scenario.program, device_class, [this](std::uint64_t) { return !stopped(); })).first;
  return found->second;
}

// Finds out everything that must be known before the first iteration. False if the pair needs no run.
bool Runner::prepare(Pair& pair) {
  Trial& trial = pair.trial;
  trial.started = true;
  Session* machine = machines_.at(pair.target.machine());
  if (!machine) {
    if (stopped()) trial.started = false;
    trial.undecided = "the machine did not start: " + machines_.failure(pair.target.machine());
    return false;
  }
  trial.kernel = machine->hello().kernel;
  const agent::TargetInfo* target = find_target(machine->hello(), pair.target.name);
  if (target && target->crashed) {
    trial.crash = target->why;
    return false;
  }
  if (!target || !target->available) {
    trial.undecided = "the target is not there: " + (target ? target->why : "the agent does not know it");
    if (pair.target.own_gpu()) keep_words_of_driver(machine->machine(), pair.target.family(), trial);
    return false;
  }
  trial.device = target->about;
  pair.device = target->name;
  trial.skipped = cannot_run(trial.program, target->capabilities);
  if (!trial.skipped.empty()) return false;
  progress(&pair, "predicting " + trial.program.name);
  const Allowed& allowed = predicted(*pair.scenario, target->capabilities.device_class);
  if (stopped()) {
    trial.started = false;
    return false;
  }
  trial.skipped = cannot_run(trial.program, allowed, target->capabilities);
  if (!trial.skipped.empty()) return false;
  trial.allowed = project(allowed, trial.program, target->capabilities.sight);
  const bool pages =
      std::ranges::any_of(allowed.schema, [](const Observable& each) { return each.kind == Observable::Kind::identity; });
  if (pages && !target->capabilities.sight.identity && !machine->hello().root && told_.insert(trial.target + " identity").second)
    note(trial.target + ": which pages are the same is not seen; root sees it");
  trial.skipped = known_bug_in_the_way(allowed.known_bugs, pair.target.name, trial.kernel);
  if (!allowed.undefined.empty()) trial.skipped = "its behaviour is undefined: " + allowed.undefined;
  if (!allowed.unknown.empty()) trial.skipped = "nothing is predicted: " + allowed.unknown;
  if (!allowed.waiting.empty()) {
    // It does not wait for ever on the device class that its claims are about, or the scenario would have been refused.
    const Diagnostic wait =
        endless_wait(pair.scenario->program, Source(pair.scenario->text, pair.scenario->file), allowed.waiting, false);
    trial.skipped = "on a device of this class a statement of it (line " + std::to_string(wait.place.line) + ") " + wait.message;
  }
  if (trial.skipped.empty() && !allowed.findings.empty()) trial.error = "the reference: " + allowed.findings.front();
  write_trial(pair);
  return trial.skipped.empty() && trial.error.empty();
}

void Runner::slice(Pair& pair, std::uint64_t iterations, std::optional<double> seconds, std::optional<std::uint64_t> seed) {
  Trial& trial = pair.trial;
  if (!pair.prepared) {
    pair.prepared = true;
    if (!prepare(pair)) {
      if (trial.started) close(pair);
      pair.closed = true;
      return;
    }
  }
  Session* machine = machines_.at(pair.target.machine());
  if (!machine) {
    if (trial.iterations == 0) trial.undecided = "the machine did not start again";
    return close(pair);
  }
  Session::Slice work;
  work.target = pair.device;
  work.text = pair.scenario->text;
  work.file = pair.scenario->file;
  work.plan.seed = seed.value_or(options_.seed + static_cast<std::uint64_t>(pair.slices++));
  work.plan.iterations = iterations;
  work.plan.deadline_ms = options_.deadline_ms;
  work.plan.parameters = options_.parameters;
  if (seconds) work.until = steady_clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
  if (!crashed_ && pair.target.own_kernel() && options_.crash == trial.program.name) work.crash = crashed_ = true;
  write("slice", {{"scenario", trial.program.name},
                  {"target", trial.target},
                  {"seed", work.plan.seed},
                  {"iterations", iterations},
                  {"deadline_ms", work.plan.deadline_ms}});
  journal_.sync();

  const bool healthy = trial.health.empty(), crashed = !trial.crash.empty();
  const bool clean = not_allowed(trial).empty(), told_device_log = !trial.gpu_log.empty();
  SliceEvents events;
  events.raw = [&](const std::string& line) {
    json record = json::parse(line);
    const std::string kind = record.value("ev", "");
    record.erase("ev");
    record["scenario"] = trial.program.name;
    record["target"] = trial.target;
    record["seed"] = work.plan.seed;
    write(kind, record);
    return journal_.line();
  };
  events.tick = [&] { progress(&pair, ""); };
  events.stop = [this] { return stop(); };
  const Session::Ended ended = run_slice(*machine, work, trial, events);

  for (const std::string& what : lacks(trial.calls))
    if (told_.insert(trial.target + what).second) note(trial.target + ": not counted: " + what);
  const std::string where = trial.program.name + " on " + trial.target;
  if (clean && !not_allowed(trial).empty())
    note(where + (trial.allowed.complete ? ": an outcome that is not allowed" : ": an outcome that was not predicted"));
  for (const KnownFinding& finding : known_findings())
    if (trial.known.contains(finding.name) && told_.insert(trial.target + finding.name).second)
      note(where + ": " + known_finding_text(finding));
  if (healthy && !trial.health.empty()) note(where + ": " + headline(trial.health));
  if (!crashed && !trial.crash.empty()) note(where + ": " + trial.crash);
  if (trial.machines_lost > 0 && !machine->usable() && !trial.lost.empty()) {
    note(where + ": the machine was lost: " + trial.lost);
    write("lost", {{"scenario", trial.program.name},
                   {"target", trial.target},
                   {"seed", work.plan.seed},
                   {"why", trial.lost},
                   {"words", trial.words},
                   {"health", trial.health}});
  }
  if (!told_device_log && !trial.gpu_log.empty())
    write("gpu_log", {{"scenario", trial.program.name}, {"target", trial.target}, {"path", trial.gpu_log}, {"lines", trial.gpu}});
  if (!machine->usable()) {
    machines_.end(pair.target.machine(), ended.message);
    if (trial.machines_lost >= losses_taken || ended.kind == Session::Ended::Kind::stuck ||
        ended.kind == Session::Ended::Kind::garbage) {
      trial.given_up = true;
      return close(pair);
    }
  } else if (pair.target.own_kernel() && healthy && !trial.health.empty()) {
    // Do not use this kernel any more: lockdep is silent after its first report, and a kernel that warned proves nothing.
    machines_.end(pair.target.machine(), "the kernel log has a finding");
    trial.given_up = true;
    return close(pair);
  }
  // Also stop if iterations hang or are not set up: the next one would take as long, and tell nothing new.
  const bool stops = !trial.hang.empty() || (!trial.undecided.empty() && trial.hung_once == 0);
  if (!trial.skipped.empty() || !trial.error.empty() || stops) close(pair);
}

void Runner::close(Pair& pair) {
  if (pair.closed) return;
  pair.closed = true;
  const Trial& trial = pair.trial;
  json stray = json::array();
  for (const Outcome& outcome : not_allowed(trial)) {
    const Tally& tally = trial.seen.at(outcome);
    stray.push_back({{"texts", outcome}, {"count", tally.count}, {"seed", tally.seed}, {"iteration", tally.iteration}});
  }
  json record = {{"scenario", trial.program.name},
                 {"file", trial.file},
                 {"target", trial.target},
                 {"kernel", trial.kernel},
                 {"verdict", verdict_text(verdict(trial))},
                 {"reason", reason(trial)},
                 {"iterations", trial.iterations},
                 {"seconds", trial.seconds},
                 {"seed", trial.seed},
                 {"allowed", trial.allowed.outcomes.size()},
                 {"allowed_seen", allowed_seen(trial)},
                 {"not_allowed", stray},
                 {"slow", trial.slow},
                 {"known", trial.known},
                 {"machines_lost", trial.machines_lost}};
  if (trial.times.commands > 0) record["commands"] = summary(trial.times);
  if (!trial.calls.empty()) record["calls"] = calls_json(trial.calls);
  if (const Verdict found = verdict(trial); events_.again && found != Verdict::agree && found != Verdict::skipped)
    record["again"] = events_.again(trial);
  write("verdict", record);
  if (events_.trial) events_.trial(trial);
}

void Runner::run_by_iterations() {
  for (Pair& pair : pairs_) {
    while (!pair.closed && !stopped() && pair.trial.iterations < options_.iterations) {
      const int lost = pair.trial.machines_lost;
      slice(pair, options_.iterations - pair.trial.iterations, std::nullopt);
      // Continue only after a lost machine. Iterations without an outcome, such as hangs, are not repeated.
      if (pair.trial.machines_lost == lost) break;
    }
    if (stopped()) return;
    close(pair);
  }
}

// Round robin, so that an interrupted run has run every pair. The first round is always complete.
void Runner::run_by_time(double seconds) {
  const auto left = [&] { return seconds - duration<double>(steady_clock::now() - start_).count(); };
  for (bool first = true; first || left() > 0; first = false) {
    std::size_t open =
        static_cast<std::size_t>(std::count_if(pairs_.begin(), pairs_.end(), [](const Pair& pair) { return !pair.closed; }));
    if (open == 0) return;
    const double wanted = seconds / static_cast<double>(open) / rounds_wanted;
    for (Pair& pair : pairs_) {
      if (pair.closed) continue;
      if (stopped() || (!first && left() <= 0)) return;
      const double fair = std::min(std::clamp(wanted, shortest_slice, longest_slice), left() / static_cast<double>(open));
      slice(pair, no_end, std::max(fair, first ? shortest_slice : 0.01));
      open--;
    }
  }
}

void Runner::write_run(const json& files) {
  json words = json::array();
  for (const TargetWord& target : options_.targets) words.push_back(target.word());
  json record = options_.about;
  record["targets"] = words;
  record["files"] = files;
  record["seed"] = options_.seed;
  record["deadline_ms"] = options_.deadline_ms;
  if (options_.seconds) record["seconds"] = *options_.seconds;
  else record["iterations"] = options_.iterations;
  write("run", record);
}

void Runner::end() {
  result_.interrupted = events_.stop && events_.stop() != Stop::none;
  for (Pair& pair : pairs_)
    if (pair.trial.started) close(pair);
  machines_.end_all("the run has ended");
  for (Pair& pair : pairs_) result_.trials.push_back(std::move(pair.trial));
  write("end", {{"exit_code", result_.exit_code()}, {"interrupted", result_.interrupted}});
}

RunResult Runner::go(WorkSource& source) {
  write_run(json::array());
  require_local_targets();
  run_by_source(options_.seconds.value_or(0), source);
  std::erase_if(result_.failures, [](const auto& each) { return each.second.empty(); });
  end();
  return std::move(result_);
}

RunResult Runner::go() {
  json files = json::array();
  for (const Scenario& scenario : scenarios_) files.push_back(scenario.file);
  write_run(files);

  require_local_targets();
  for (const TargetWord& target : options_.targets) {
    for (const Scenario& scenario : scenarios_) {
      Pair pair;
      pair.scenario = &scenario;
      pair.target = target;
      pair.trial.file = scenario.file;
      pair.trial.target = target.word();
      pair.trial.program = scenario.program;
      pair.trial.seed = options_.seed;
      pairs_.push_back(std::move(pair));
    }
  }
  if (options_.seconds) run_by_time(*options_.seconds);
  else run_by_iterations();
  end();
  return std::move(result_);
}

int RunResult::exit_code() const {
  std::map<std::string, std::vector<Verdict>> by_target = forgotten;
  for (const auto& [target, why] : failures) by_target[target].push_back(Verdict::inconclusive);
  for (const Trial& trial : trials) {
    // A trial that was not run because of an interrupt is undecided: an interrupted night is not "all agree".
    by_target[trial.target].push_back(trial.started ? verdict(trial) : Verdict::inconclusive);
  }
  if (!journal_failure.empty()) by_target["journal"].push_back(Verdict::error);
  return faultline::exit_code(by_target);
}

RunResult run(const std::vector<Scenario>& scenarios, const RunOptions& options, const Predictor& predictor, Journal& journal,
              const RunEvents& events) {
  return Runner(scenarios, options, predictor, journal, events).go();
}

RunResult run(WorkSource& source, const RunOptions& options, const Predictor& predictor, Journal& journal,
              const RunEvents& events) {
  const std::vector<Scenario> none;
  return Runner(none, options, predictor, journal, events).go(source);
}

DeviceClass class_of_claims(const Program& program) {
  return program.devices.empty() ? DeviceClass::recoverable : program.devices.front().device_class;
}

}  // namespace faultline
