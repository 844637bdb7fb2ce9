// faultline storm
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/app/run_options.h"
#include "harness/language/diagnostic.h"
#include "harness/run/known_findings.h"
#include "harness/run/machines.h"
#include "harness/storm.h"
#include "results/progress.h"
#include "results/report.h"
#include "results/storm_report.h"

namespace faultline::app {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

constexpr const char* examples =
    "Kinds:\n"
    "  fault      hundreds of device accesses outstanding, against munmap, mprotect, fork, MADV_DONTNEED,\n"
    "             migration to the device and back, and a dying process\n"
    "  fork       trees of processes that store through the CPU, the device and pins, and fork meanwhile\n"
    "  teardown   exit, SIGKILL, exec and close of the device, with accesses outstanding\n"
    "\n"
    "Examples:\n"
    "  faultline storm fault -t lab:dmirror --time 120    on test_hmm, in the virtual lab\n"
    "  faultline storm teardown                           on this machine's own mm, for a minute\n"
    "  faultline storm fork -t pinned --threads 16        at most 16 device accesses at once\n"
    "  faultline storm fault -t lab:dmirror --lab-kernel arch/x86/boot/bzImage\n"
    "                                                     on your own kernel\n"
    "  results/storm_picture.py JOURNAL -o storm.svg      draws the percentiles\n"
    "\n"
    "A storm tells how long calls took, by how many device accesses were outstanding when each began:\n"
    "percentiles (to 19 %), the longest, and a histogram. It checks every value: a page holds what its only\n"
    "writer stored last; what a forked child has is from before fork() returned; an access that the mapping\n"
    "has not allowed since before it began fails. It reads the kernel log. A round that does not end is a\n"
    "hang only with evidence, as in 'faultline run', and is told with the stacks of all threads.\n"
    "Every other round is idle: what the machine has in use (memory, slab, mm_struct, descriptors ...)\n"
    "leaks if it rises, and rises in working rounds more than in idle ones, both beyond chance. That\n"
    "takes 15 working rounds.\n"
    "\n"
    "A storm loads all CPUs and changes nothing else of this machine. Findings are told when they are seen,\n"
    "and written to the journal (results/runs/, or --json FILE). Ctrl-C ends the storm and reports.\n"
    "Exit codes: 0 all agree, 1 something was found, 2 bad usage, 3 nothing could be decided, 4 the bench\n"
    "itself failed.";

constexpr std::chrono::seconds silence{180};

struct Arguments {
  std::string kind;
  std::string target = "host";
  double seconds = 60;
  int threads = 256;
  std::uint64_t seed = 0;
  bool has_seed = false;
  bool stop_at_first = false;
  std::string journal;
  LabOptions lab;
};

StormPlan plan_of(const Arguments& arguments) {
  const auto kind = storm_kind(arguments.kind);
  if (!kind) {
    std::vector<std::string> words;
    for (const StormWord& each : storm_words) words.emplace_back(each.word);
    const std::string suggestion = did_you_mean(arguments.kind, words);
    throw BadInput("faultline: unknown storm '" + arguments.kind + "'; " +
                   (suggestion.empty() ? "there are fault, fork, teardown" : suggestion) + "\n");
  }
  StormPlan plan;
  plan.kind = *kind;
  plan.threads = arguments.threads;
  plan.seed = arguments.has_seed ? arguments.seed : std::random_device{}();
  plan.milliseconds = static_cast<std::uint64_t>(arguments.seconds * 1000);
  plan.deadline_ms = 0;  // the agent's own
  return plan;
}

TargetWord target_of(const Arguments& arguments, StormKind kind) {
  const TargetWord target = parse_target(arguments.target);
  if (target.has_devices())
    throw BadInput("faultline: no storm runs on " + target.word() +
                   ": its driver's known bugs would end it; there are host, pinned, dmirror, lab:dmirror ...\n");
  if (target.name == "pinned" && kind != StormKind::fork)
    throw BadInput("faultline: a device of the class pinned has no faults; 'faultline storm fork -t " + target.word() +
                   "' is for it\n");
  if (!target.own_kernel() && !(arguments.lab.kernel.empty() && arguments.lab.append.empty()))
    throw BadInput("faultline: --lab-kernel and --lab-append need a target in the lab\n");
  if (!arguments.lab.kernel.empty() && ::access(arguments.lab.kernel.c_str(), R_OK) != 0)
    throw BadInput("faultline: --lab-kernel " + arguments.lab.kernel + " cannot be read\n");
  check_flavour(arguments.lab, {target});
  return target;
}

// One storm on one machine, from its request to its "done".
class Client {
 public:
  Client(Session& session, const Arguments& arguments, StormTally& storm, Journal& journal, ProgressBar& bar)
      : session_(session), arguments_(arguments), storm_(storm), journal_(journal), bar_(bar) {}

  void run(const std::string& target) {
    if (!session_.machine().send(agent::to_line(agent::StormRequest{id, target, storm_.plan}))) return lose("its stream ended");
    while (!over_) {
      look_for_end();
      const Machine::Received received = session_.machine().receive(std::chrono::milliseconds(100));
      if (received.kind == Machine::Received::Kind::gone) lose("its stream ended: " + session_.machine().ending());
      if (received.kind == Machine::Received::Kind::line) take(received.line);
      show_progress();
    }
    storm_.seconds = seconds();
  }

 private:
  static constexpr std::uint64_t id = 1;
  double seconds() const { return std::chrono::duration<double>(steady_clock::now() - start_).count(); }

  void look_for_end() {
    const Stop stop = stop_asked();
    storm_.interrupted |= stop != Stop::none;
    if (steady_clock::now() - alive_ > silence) return lose("it said nothing for " + std::to_string(silence.count()) + " s");
    if (stop == Stop::now) over_ = true;
    const bool enough = (arguments_.stop_at_first && storm_.first_finding_s) || !journal_.failure().empty();
    if (stopped_ || !(stop != Stop::none || enough)) return;
    stopped_ = true;
    session_.machine().send(agent::to_line(agent::StopRequest{}));
  }

  void lose(const std::string& how) {
    over_ = true;
    Machine& machine = session_.machine();
    if (!machine.has_kernel()) {
      storm_.error = "the agent was lost, this machine is alive: " + how;
      return;
    }
    storm_.lost = how;
    storm_.words = machine.console_since(mark_);
    tell("the machine is lost: " + how);
    journal_.write("lost", {{"why", how}, {"words", storm_.words}});
  }

  void take(const std::string& line) {
    try {
      const agent::Event event = agent::parse_event(line);
      alive_ = steady_clock::now();
      json record = json::parse(line);
      const std::string ev = record.value("ev", "");
      if (ev == "alive" || ev == "done") {
        over_ |= ev == "done";
        return;
      }
      record.erase("ev");
      record["target"] = storm_.target;
      journal_.write(ev, record);
      std::visit([this](const auto& told) { add(told); }, event);
    } catch (const agent::ProtocolError& error) {
      storm_.error = std::string("not the agent's protocol: ") + error.what();
      over_ = true;
    }
  }

  void add(const agent::StormEvent& event) {
    for (const std::string& line : event.news.wrong) tell("round " + std::to_string(event.news.round) + ": " + line);
    storm_.add(event.news);
  }
  void add(const agent::HangEvent& event) {
    storm_.add(event.hang);
    if (!event.hang.slow) tell("round " + std::to_string(event.hang.iteration) + " hangs: " + event.hang.why.front());
  }
  void add(const agent::HealthEvent& event) {
    SortedReports sorted = sort_reports(event.lines, storm_.target.substr(storm_.target.find(':') + 1), storm_.kernel);
    for (const KnownFinding* finding : sorted.known) storm_.known.insert(finding->name);
    if (sorted.other.empty()) return;
    storm_.health.insert(storm_.health.end(), sorted.other.begin(), sorted.other.end());
    tell("the kernel log reports: " + sorted.other.front());
  }
  void add(const agent::ErrorEvent& event) {
    if (storm_.error.empty()) storm_.error = event.message;
  }
  void add(const agent::SkippedEvent& event) {
    storm_.skipped = event.why;
    over_ = true;
  }
  void add(const auto&) {}

  // A finding is told when it is seen. The same one again says nothing new.
  void tell(const std::string& line) {
    if (!storm_.first_finding_s) storm_.first_finding_s = seconds();
    constexpr int most = 10;
    if (++told_ > most) return;
    bar_.clear();
    std::cout << "Found after " << static_cast<long>(seconds()) << " s: " << printable(line) << "\n" << std::flush;
  }

  void show_progress() {
    RunProgress progress;
    progress.status = "storm " + std::string(storm_word(storm_.plan.kind)) + " on " + storm_.target + ", round " +
                      std::to_string(storm_.works) + ", " + std::to_string(storm_.counts["device accesses"]) +
                      " device accesses, " + std::to_string(std::max(0L, static_cast<long>(arguments_.seconds - seconds()))) +
                      " s left";
    bar_.update(progress);
  }

  Session& session_;
  const Arguments& arguments_;
  StormTally& storm_;
  Journal& journal_;
  ProgressBar& bar_;
  const steady_clock::time_point start_ = steady_clock::now();
  steady_clock::time_point alive_ = start_;
  const std::uint64_t mark_ = session_.machine().console_size();
  int told_ = 0;
  bool stopped_ = false, over_ = false;
};

// Starts the machine and runs the storm there.
void run_on(const TargetWord& target, const Arguments& arguments, const std::string& prefix, Journal& journal, StormTally& storm,
            ProgressBar& bar) {
  Machines::Events events;
  events.start = machines(project_root(), arguments.lab, prefix);
  events.write = [&](const json& record) { journal.write("machine", record); };
  events.status = [&](const std::string& status) {
    RunProgress progress;
    progress.status = status;
    bar.update(progress);
  };
  events.note = [&](const std::string& line) {
    bar.clear();
    std::fprintf(stderr, "faultline: %s\n", printable(line).c_str());
  };
  events.stop = stop_asked;
  Machines all(Session::Patience{}, events);
  Session* const session = all.at(target.machine());
  if (session == nullptr) {
    storm.skipped = all.failure(target.machine());
    return;
  }
  storm.kernel = session->hello().kernel;
  const agent::TargetInfo* const here = find_target(session->hello(), target.name);
  if (here == nullptr || !here->available) {
    const std::string why = here ? here->why : "it has no such target";
    if (!target.own_kernel()) throw BadInput("faultline: " + target.word() + " is not here: " + why + "\n");
    storm.skipped = why;
    return;
  }
  Client(*session, arguments, storm, journal, bar).run(here->name);
  all.end_all("the storm is over");
}

int storm_command(const Arguments& arguments) {
  StormTally storm;
  storm.plan = plan_of(arguments);
  const TargetWord target = target_of(arguments, storm.plan.kind);
  storm.target = target.word();
  check_lab(project_root(), arguments.lab, {target});
  const RunFiles files = run_files(arguments.journal, project_root());
  const std::unique_ptr<Journal> journal = open_journal(files.journal);
  watch_signals();
  std::cout << "Seed " << storm.plan.seed << "\n" << std::flush;
  journal->write("run", {{"program", "faultline storm"},
                         {"journal_version", journal_version},
                         {"command", own_command_line()},
                         {"storm", arguments.kind},
                         {"target", storm.target},
                         {"threads", storm.plan.threads},
                         {"seed", storm.plan.seed},
                         {"seconds", arguments.seconds}});
  ProgressBar bar(stderr, ::isatty(2));
  run_on(target, arguments, files.prefix, *journal, storm, bar);
  bar.clear();
  const std::vector<storms::LevelVerdict> leaks = storms::judge_levels(storm.rounds);
  const Verdict verdict = verdict_of(storm, leaks);
  std::map<std::string, std::vector<Verdict>> verdicts{{storm.target, {verdict}}};
  if (!journal->failure().empty()) verdicts["journal"] = {Verdict::error};
  const int status = exit_code(verdicts);
  journal->write("verdict", {{"target", storm.target}, {"storm", arguments.kind}, {"verdict", verdict_text(verdict)}});
  journal->write("end", {{"exit", status}});
  std::cout << storm_text(storm, leaks) << journal_text(files.journal, journal->failure());
  std::cout << "Exit " << exit_reason(status) << "\n" << std::flush;
  forget(files);
  return status;
}

}  // namespace

void add_storm(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("storm", "Many device accesses at once against calls of the kernel: how long, how right");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("KIND", arguments->kind, "fault, fork or teardown")->required();
  command->add_option("-t,--target", arguments->target, "Where: host, lab:dmirror, pinned ... [host]")->type_name("TARGET");
  command->add_option("--time", arguments->seconds, "Seconds [60]")->check(above_zero(1e6))->type_name("SECONDS");
  command->add_option("--threads", arguments->threads, "Device accesses at once, at most [256]")
      ->check(CLI::Range(1, storms::most_threads))
      ->type_name("N");
  CLI::Option* seed =
      command->add_option("--seed", arguments->seed, "Seed of the random numbers [random]")->check(a_seed())->type_name("N");
  command->add_flag("--stop-at-first", arguments->stop_at_first, "End at the first finding");
  command->add_option("--json", arguments->journal, "Write the journal (JSON lines) here")->type_name("FILE");
  add_kernel_options(*command, arguments->lab);
  command->footer(examples);
  command->callback([arguments, seed, &status] {
    arguments->has_seed = seed->count() > 0;
    status = storm_command(*arguments);
  });
}

}  // namespace faultline::app
