#include "harness/run/trial_runner.h"

#include <algorithm>
#include <utility>

#include "harness/language/waits.h"
#include "harness/run/known_bugs.h"
#include "harness/run/known_findings.h"
#include "harness/run/report_title.h"
#include "harness/run/slice.h"

namespace faultline {

using nlohmann::json;
using std::chrono::duration;
using std::chrono::steady_clock;

namespace {

constexpr int losses_taken = 2;  // a trial is given up after it has lost this many machines

}  // namespace

TrialRunner::TrialRunner(const RunOptions& options, const Predictor& predictor, Journal& journal, const RunEvents& events,
                         const std::vector<std::string>& files)
    : options_(options), predictor_(predictor), journal_(journal), events_(events) {
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

OpenTrial TrialRunner::open(std::shared_ptr<const Scenario> scenario, const TargetWord& target, std::size_t index) const {
  OpenTrial open;
  open.scenario = std::move(scenario);
  open.target = target;
  open.index = index;
  open.trial.file = open.scenario->file;
  open.trial.target = target.word();
  open.trial.program = open.scenario->program;
  open.trial.seed = options_.seed;
  return open;
}

void TrialRunner::write(const std::string& event, const json& record) {
  if (journal_.write(event, record) || !journal_failure_.empty()) return;
  journal_failure_ = journal_.failure();
  note("journal: " + journal_failure_ + "; the run ends here");
}

void TrialRunner::write_trial(const OpenTrial& open) {
  const Trial& trial = open.trial;
  json keys = json::array();
  for (const Observable& observable : trial.allowed.schema) keys.push_back(observable.key);
  write("scenario", {{"scenario", trial.program.name},
                     {"file", trial.file},
                     {"target", trial.target},
                     {"kernel", trial.kernel},
                     {"device", trial.device},
                     {"text", open.scenario->text},
                     {"schema", keys},
                     {"allowed", trial.allowed.outcomes.size()},
                     {"complete", trial.allowed.complete},
                     {"states", trial.allowed.states}});
}

double TrialRunner::seconds() const { return duration<double>(steady_clock::now() - options_.start).count(); }

Stop TrialRunner::stop() const {
  const Stop asked = events_.stop ? events_.stop() : Stop::none;
  if (asked != Stop::none) return asked;
  return !journal_failure_.empty() || (options_.stop_at_first && first_finding_) ? Stop::soon : Stop::none;
}

void TrialRunner::progress(const OpenTrial* open, const std::string& status) {
  if (!events_.progress) return;
  RunProgress now;
  now.count = count_;
  now.status = status;
  if (open) {
    now.index = open->index;
    now.scenario = open->trial.program.name;
    now.target = open->trial.target;
    now.done = open->trial.iterations;
    now.total = options_.seconds ? 0 : options_.iterations;
    now.rate = running_s_ > 0 ? static_cast<double>(iterations_) / running_s_ : 0;
    const auto left = static_cast<double>(options_.iterations) * static_cast<double>(now.count) -
                      static_cast<double>(options_.iterations) * static_cast<double>(now.index - 1) -
                      static_cast<double>(now.done);
    if (!options_.seconds && now.rate > 0) now.seconds_left = std::max(0.0, left / now.rate);
  }
  if (options_.seconds) now.seconds_left = std::max(0.0, *options_.seconds - seconds());
  events_.progress(now);
}

void TrialRunner::require_local_targets() {
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

std::optional<Capabilities> TrialRunner::capabilities(const TargetWord& target, std::string& why) {
  Session* machine = machines_.at(target.machine());
  if (!machine) {
    why = "the machine did not start: " + machines_.failure(target.machine());
    return std::nullopt;
  }
  const agent::TargetInfo* info = find_target(machine->hello(), target.name);
  if (info && info->available) return info->capabilities;
  why = "the target is not there: " + (info ? info->why : "the agent does not know it");
  return std::nullopt;
}

// Finds out everything that must be known before the first iteration. False if the trial needs no slice.
bool TrialRunner::prepare(OpenTrial& open) {
  Trial& trial = open.trial;
  trial.started = true;
  Session* machine = machines_.at(open.target.machine());
  if (!machine) {
    if (stopped()) trial.started = false;
    trial.undecided = "the machine did not start: " + machines_.failure(open.target.machine());
    return false;
  }
  trial.kernel = machine->hello().kernel;
  if (open.target.own_kernel()) trial.commit = options_.commit;
  const agent::TargetInfo* target = find_target(machine->hello(), open.target.name);
  if (target && target->crashed) {
    trial.crash = target->why;
    return false;
  }
  if (!target || !target->available) {
    trial.undecided = "the target is not there: " + (target ? target->why : "the agent does not know it");
    if (open.target.own_gpu()) keep_words_of_driver(machine->machine(), open.target.family(), trial);
    return false;
  }
  trial.device = target->about;
  open.device = target->name;
  trial.skipped = cannot_run(trial.program, target->capabilities);
  if (!trial.skipped.empty()) return false;
  progress(&open, "predicting " + trial.program.name);
  const Allowed allowed =
      predictor_(trial.program, target->capabilities.device_class, [this](std::uint64_t) { return !stopped(); });
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
  trial.skipped = known_bug_in_the_way(allowed.known_bugs, open.target.name, trial.kernel);
  if (!allowed.undefined.empty()) trial.skipped = "its behaviour is undefined: " + allowed.undefined;
  if (!allowed.unknown.empty()) trial.skipped = "nothing is predicted: " + allowed.unknown;
  if (!allowed.waiting.empty()) {
    // It does not wait for ever on the device class that its claims are about, or the scenario would have been refused.
    const Diagnostic wait =
        endless_wait(open.scenario->program, Source(open.scenario->text, open.scenario->file), allowed.waiting, false);
    trial.skipped = "on a device of this class a statement of it (line " + std::to_string(wait.place.line) + ") " + wait.message;
  }
  if (trial.skipped.empty() && !allowed.findings.empty()) trial.error = "the reference: " + allowed.findings.front();
  write_trial(open);
  return trial.skipped.empty() && trial.error.empty();
}

void TrialRunner::slice(OpenTrial& open, std::uint64_t iterations, std::optional<double> seconds,
                        std::optional<std::uint64_t> seed) {
  if (open.closed) return;
  Trial& trial = open.trial;
  if (!open.prepared) {
    open.prepared = true;
    if (!prepare(open)) {
      tell_findings(open);
      if (trial.started) close(open);
      open.closed = true;
      return;
    }
  }
  Session* machine = machines_.at(open.target.machine());
  if (!machine) {
    if (trial.iterations == 0) trial.undecided = "the machine did not start again";
    return close(open);
  }
  Session::Slice work;
  work.target = open.device;
  work.text = open.scenario->text;
  work.file = open.scenario->file;
  work.plan.seed = seed.value_or(options_.seed + static_cast<std::uint64_t>(open.slices));
  ++open.slices;
  work.plan.iterations = iterations;
  work.plan.deadline_ms = options_.deadline_ms;
  work.plan.parameters = options_.parameters;
  if (seconds) work.until = steady_clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
  if (!crashed_ && open.target.own_kernel() && options_.crash == trial.program.name) work.crash = crashed_ = true;
  write("slice", {{"scenario", trial.program.name},
                  {"target", trial.target},
                  {"seed", work.plan.seed},
                  {"iterations", iterations},
                  {"deadline_ms", work.plan.deadline_ms}});
  journal_.sync();

  const bool healthy = trial.health.empty(), told_device_log = !trial.gpu_log.empty();
  const bool clean = not_allowed(trial).empty();
  const std::uint64_t iterations_before = trial.iterations;
  const double seconds_before = trial.seconds;
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
  events.tick = [&] { progress(&open, ""); };
  events.news = [&] { tell_findings(open); };
  events.stop = [this] { return stop(); };
  const Session::Ended ended = run_slice(*machine, work, trial, events);
  iterations_ += trial.iterations - iterations_before;
  running_s_ += trial.seconds - seconds_before;

  for (const std::string& what : lacks(trial.calls))
    if (told_.insert(trial.target + what).second) note(trial.target + ": not counted: " + what);
  const std::string where = trial.program.name + " on " + trial.target;
  if (!trial.allowed.complete && clean && !not_allowed(trial).empty()) note(where + ": an outcome that was not predicted");
  for (const KnownFinding& finding : known_findings())
    if (trial.known.contains(finding.name) && told_.insert(trial.target + finding.name).second)
      note(where + ": " + known_finding_text(finding));
  if (trial.machines_lost > 0 && !machine->usable() && !trial.lost.empty()) {
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
    machines_.end(open.target.machine(), ended.message);
    if (trial.machines_lost >= losses_taken || ended.kind == Session::Ended::Kind::stuck ||
        ended.kind == Session::Ended::Kind::garbage) {
      trial.given_up = true;
      return close(open);
    }
  } else if (open.target.own_kernel() && healthy && !trial.health.empty()) {
    // Do not use this kernel any more: lockdep is silent after its first report, and a kernel that warned proves nothing.
    machines_.end(open.target.machine(), "the kernel log has a finding");
    trial.given_up = true;
    return close(open);
  }
  // Also stop if iterations hang or are not set up: the next one would take as long, and tell nothing new.
  const bool stops = !trial.hang.empty() || (!trial.undecided.empty() && trial.hung_once == 0);
  if (!trial.skipped.empty() || !trial.error.empty() || stops) close(open);
}

// The first of each kind in a trial: what comes after tells little more, and is in the verdict. A report of the kernel log is told
// once in a run: with the same title it is the same report, whichever trial meets it.
void TrialRunner::tell_findings(OpenTrial& open) {
  for (Finding& finding : findings(open.trial)) {
    const bool fresh = finding.what == Finding::What::health ? reports_.insert(finding.target + " " + finding.why).second
                                                             : open.found.insert(finding.what).second;
    if (!fresh) continue;
    finding.seconds = seconds();
    if (!first_finding_) first_finding_ = finding;
    const std::string again = events_.again ? events_.again(open.trial) : "";
    write("finding", {{"scenario", finding.scenario},
                      {"file", open.trial.file},
                      {"target", finding.target},
                      {"kernel", open.trial.kernel},
                      {"what", finding_text(finding.what)},
                      {"why", finding.why},
                      {"seconds", finding.seconds},
                      {"iterations", finding.iterations},
                      {"again", again}});
    journal_.sync();
    if (events_.finding) events_.finding(finding, again);
  }
}

void TrialRunner::close(OpenTrial& open) {
  if (open.closed) return;
  open.closed = true;
  const Trial& trial = open.trial;
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
  if (!trial.commit.empty()) record["commit"] = trial.commit;
  if (trial.times.commands > 0) record["commands"] = summary(trial.times);
  if (!trial.calls.empty()) record["calls"] = calls_json(trial.calls);
  if (const Verdict found = verdict(trial); events_.again && found != Verdict::agree && found != Verdict::skipped)
    record["again"] = events_.again(trial);
  for (const TitledReport& report : titled_reports(trial.health))
    record["reports"].push_back({{"title", report.title}, {"count", report.count}});
  write("verdict", record);
  if (events_.trial) events_.trial(trial);
}

void TrialRunner::end(RunResult& result) {
  machines_.end_all("the run has ended");
  result.journal_failure = journal_failure_;
  result.first_finding = first_finding_;
  result.interrupted = events_.stop && events_.stop() != Stop::none;
  result.stopped_at_first = options_.stop_at_first && first_finding_ && !result.interrupted;
  json record = {{"exit_code", result.exit_code()}, {"interrupted", result.interrupted}, {"seconds", seconds()}};
  if (first_finding_) record["first_finding_seconds"] = first_finding_->seconds;
  write("end", record);
}

}  // namespace faultline
