#include "harness/run/slice.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <sstream>

#include "harness/health_lines.h"
#include "harness/run/device_log.h"
#include "harness/run/known_findings.h"

namespace faultline {
namespace {

using std::chrono::steady_clock;

// Whether the batch fits the schema. If it does not, the bench has a bug, and the batch must not become outcomes.
bool fits(const Batch& batch, const Trial& trial) {
  return std::all_of(batch.outcomes.begin(), batch.outcomes.end(),
                     [&](const SeenOutcome& seen) { return seen.texts.size() == trial.allowed.schema.size(); });
}

// The time that a batch spends outside its iterations, and one that is longer than others.
constexpr std::chrono::milliseconds about{10};

// The first finding of a trial keeps what the GPU did until then.
void keep_device_log(const Machine& machine, steady_clock::time_point until, Trial& trial) {
  if (!trial.gpu_log.empty() || machine.device_log().empty()) return;
  trial.gpu = device_log(machine.device_log(), until);
  if (!trial.gpu.empty()) trial.gpu_log = machine.device_log();
}

void keep_device_log(const Machine& machine, const Batch& batch, Trial& trial) {
  const auto now = steady_clock::now();
  for (const SeenOutcome& seen : batch.outcomes) {
    if (allowed_by(trial.allowed, seen.texts)) continue;
    const auto end = about_end(now, std::chrono::nanoseconds(batch.ns), seen.first - batch.first, batch.count);
    return keep_device_log(machine, std::min(now, end + about), trial);
  }
}

// What disturbed the iteration, in words. Nothing if the agent's parameters do not fit the scenario.
std::vector<std::string> disturbed(const Batch& batch, std::uint64_t iteration, const Program& program) {
  std::vector<std::string> words;
  if (!misfit(batch.parameters, program, INT_MAX).empty() || iteration < batch.first) return words;
  for (const Disturbance& disturbance : row_of(batch.parameters, iteration - batch.first).disturbances)
    words.push_back(text(disturbance, program));
  return words;
}

// Gives whether an outcome was seen for the first time.
bool add(const Batch& batch, std::uint64_t seed, std::uint64_t line, Trial& trial) {
  if (!fits(batch, trial)) {
    if (trial.error.empty()) trial.error = "the agent's outcomes do not fit the scenario's observables";
    return false;
  }
  const std::size_t known = trial.seen.size();
  for (const SeenOutcome& seen : batch.outcomes) {
    Tally& tally = trial.seen[seen.texts];
    if (tally.count == 0)
      tally = {
          0, seed, seen.first, batch.parameters.seed, batch.parameters.cpus, line, disturbed(batch, seen.first, trial.program)};
    tally.count += seen.count;
  }
  trial.iterations += batch.count;
  trial.times.add(batch.times);
  return trial.seen.size() != known;
}

// The heading of a process in a hang report; the lines of its tasks follow.
std::string process_line(const ThreadPlace& place) {
  return "process " + (place.process.empty() ? place.command : place.process) + " (pid " + std::to_string(place.pid) + ")";
}

std::string thread_line(const ThreadPlace& place) {
  std::string line = place.thread.empty() ? "thread '" + place.command + "'" : place.thread;
  line += " (tid " + std::to_string(place.tid) + "): ";
  if (!place.statement.empty()) line += place.statement;
  else line += place.thread.empty() ? "no statement" : "done";
  if (!place.state.empty()) line += ", state " + place.state;
  if (!place.wchan.empty() && place.wchan != "0") line += ", in " + place.wchan;
  char cpu[40];
  std::snprintf(cpu, sizeof cpu, ", %.2f s of CPU", static_cast<double>(place.cpu_ms) / 1000);
  line += cpu;
  for (const std::string& frame : place.stack) line += "\n  " + frame;
  return line;
}

void add_lines(const std::string& text, std::vector<std::string>& lines) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
}

std::vector<std::string> block_of(const Hang& hang) {
  std::vector<std::string> lines = hang.why;
  int process = -1;
  for (const ThreadPlace& place : hang.threads) {
    if (place.pid != process) lines.push_back(process_line(place));
    process = place.pid;
    std::vector<std::string> own;
    add_lines(thread_line(place), own);
    for (const std::string& line : own) lines.push_back("  " + line);
  }
  return lines;
}

// A hang that did not come back is counted as a hang only when another one is seen. A rare hang will be seen again. A false
// one, on a machine that was busy in a way that no sample shows, will not.
void add(const Hang& hang, std::uint64_t seed, Trial& trial) {
  if (hang.slow) {
    trial.slow++;
    if (!hang.why.empty()) trial.slow_why = hang.why.front();
    return;
  }
  const std::string where = "iteration " + std::to_string(hang.iteration) + " (seed " + std::to_string(seed) + ")";
  const bool certain = hang.set_up.empty() && (!hang.once || ++trial.hung_once > 1);
  if (!trial.hang.empty() || (!certain && !trial.undecided.empty())) return;
  trial.threads = block_of(hang);
  if (!hang.set_up.empty())
    trial.undecided = where + " was not set up in time: " + hang.set_up + (hang.stuck ? "; it survives SIGKILL" : "");
  else if (!certain) trial.undecided = where + " hung, seen once: it did not come back";
  else
    trial.hang =
        where + " hangs" + (hang.stuck ? ", and survives SIGKILL" : "") + (hang.once ? ", as another one did before" : "");
}

std::string crash_text(const Crash& crash) {
  std::string text = "the driver " + crash.what;
  for (const DriverPlace& place : crash.places)
    text += crash.in_call ? " in " + place.function + ", called by " + place.thread + " " + place.where
                          : ", while " + place.thread + " was in " + place.function + " " + place.where;
  return text;
}

void add(const Crash& crash, std::uint64_t seed, Trial& trial) {
  if (trial.crashes++ > 0) return;
  trial.crash = "iteration " + std::to_string(crash.iteration) + " (seed " + std::to_string(seed) + "): " + crash_text(crash);
}

// Adds reports of the kernel log. Those that are known findings of this target and kernel are told by name. Gives whether one
// of those has ended the machine.
bool add_reports(Lines lines, const std::string& target, Trial& trial, std::vector<std::string>& other) {
  SortedReports sorted = sort_reports(lines, target, trial.kernel);
  for (const KnownFinding* finding : sorted.known) trial.known.insert(finding->name);
  other = std::move(sorted.other);
  return std::ranges::any_of(sorted.known, [](const KnownFinding* finding) { return finding->ends_machine; });
}

struct Marks {  // of a machine's files, when the slice began
  std::uint64_t console = 0, errors = 0;
};

// What the lab says itself when it gives a machine up. It repeats the console's words there, after a bar.
std::vector<std::string> words_of_lab(const Machine& machine, std::uint64_t mark) {
  if (machine.errors() == machine.console()) return {};
  std::vector<std::string> lines = last_lines(machine.errors(), mark, 60);
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("  |"); });
  return lines;
}

// The agent died or went silent. In a machine with a kernel of its own, that kernel is the first suspect: if the console has
// nothing but a known finding of which machines die, the trial has lost nothing but the machine. What a kernel says of a machine
// that failed below it (a GPU in software that died) is no finding of that kernel. Otherwise the machine is this one, which is
// alive, and the agent is to blame: a part of the bench.
void add_loss(Machine& machine, const Marks& marks, const std::string& target, const std::string& how, Trial& trial) {
  trial.machines_lost++;
  if (!machine.has_kernel()) {
    trial.words = machine.console_since(marks.console);
    if (trial.error.empty()) trial.error = "the agent was lost, this machine is alive: " + how;
    return;
  }
  std::vector<std::string> other;
  const bool lab_failed = machine.ending() == "exit status 4";
  const bool explained = !lab_failed && add_reports(machine.console_since(marks.console, 5000), target, trial, other);
  // The report begins at the first health line, however much follows it.
  const auto first = std::find_if(other.begin(), other.end(), is_health_line);
  if (explained && first == other.end()) return;
  trial.lost = how;
  keep_device_log(machine, steady_clock::now(), trial);
  trial.words = machine.console_since(marks.console);
  const std::vector<std::string> said = words_of_lab(machine, marks.errors);
  trial.words.insert(trial.words.end(), said.begin(), said.end());
  if (!said.empty() && lab_failed) trial.lost += ", " + said.back();
  if (trial.health.empty() && !lab_failed) trial.health.assign(first, first + std::min<std::ptrdiff_t>(40, other.end() - first));
}

}  // namespace

void keep_words_of_driver(const Machine& machine, const std::string& driver, Trial& trial) {
  constexpr std::ptrdiff_t most = 40;
  trial.words = machine.console_since(0, 5000);
  std::erase_if(trial.words, [&](const std::string& line) { return line.find(driver) == std::string::npos; });
  if (std::ssize(trial.words) > most) trial.words.erase(trial.words.begin(), trial.words.end() - most);
  keep_device_log(machine, steady_clock::now(), trial);
}

Session::Ended run_slice(Session& session, const Session::Slice& slice, Trial& trial, const SliceEvents& events) {
  using Kind = Session::Ended::Kind;
  Machine& machine = session.machine();
  const Marks marks{size_of(machine.console()), size_of(machine.errors())};
  const auto start = steady_clock::now();
  const std::uint64_t seed = slice.plan.seed;
  std::uint64_t journal_line = 0;
  const auto news = [&] {
    if (events.news) events.news();
  };
  Session::Handlers handlers;
  if (events.raw) handlers.raw = [&](const std::string& line) { journal_line = events.raw(line); };
  handlers.tick = events.tick;
  handlers.batch = [&](const Batch& batch) {
    keep_device_log(machine, batch, trial);
    if (add(batch, seed, journal_line, trial)) news();
  };
  bool ended_by_known = false;
  handlers.health = [&](const std::vector<std::string>& lines) {
    std::vector<std::string> other;
    ended_by_known |= add_reports(lines, slice.target, trial, other);
    if (!other.empty()) keep_device_log(machine, steady_clock::now(), trial);
    trial.health.insert(trial.health.end(), other.begin(), other.end());
    news();
  };
  handlers.hang = [&](const Hang& hang) {
    if (!hang.slow) keep_device_log(machine, steady_clock::now(), trial);
    add(hang, seed, trial);
    news();
  };
  handlers.crash = [&](const Crash& crash) {
    add(crash, seed, trial);
    news();
  };
  handlers.error = [&](const std::string& message) {
    if (trial.error.empty()) trial.error = message;
  };
  handlers.driver = [&](std::optional<std::uint64_t> iteration, const std::string& words) {
    add_lines((iteration ? "iteration " + std::to_string(*iteration) : "kernel log") + ": " + words, trial.driver);
  };
  handlers.calls = [&](const DriverCalls& calls) { trial.calls.add(calls); };
  // A known finding that ends the machine ends the slice: what hangs from there on hangs because of it.
  const auto stop = [&] { return ended_by_known ? Stop::now : events.stop ? events.stop() : Stop::none; };
  Session::Ended ended = session.run(slice, handlers, stop);
  trial.seconds += std::chrono::duration<double>(steady_clock::now() - start).count();
  switch (ended.kind) {
    case Kind::interrupted:
      if (!ended_by_known) break;
      trial.machines_lost++;
      ended.message = "a known finding has ended the machine";
      break;
    case Kind::done:
    case Kind::stuck: break;
    case Kind::skipped: trial.skipped = ended.message; break;
    case Kind::garbage: trial.error = "not the agent's protocol: " + ended.message; break;
    case Kind::gone:
    case Kind::silent:
      add_loss(machine, marks, slice.target, ended.message, trial);
      news();
      break;
  }
  return ended;
}

}  // namespace faultline
