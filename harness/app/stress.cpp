// faultline stress
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "harness/app/app.h"
#include "harness/app/campaign_journal.h"
#include "harness/app/commands.h"
#include "harness/app/run_options.h"
#include "harness/app/shrunk_file.h"
#include "results/progress.h"
#include "results/report.h"
#include "stress/campaign/by_slices.h"
#include "stress/campaign/campaign.h"
#include "stress/campaign/shrinking.h"

namespace faultline::app {
namespace {

using nlohmann::json;
using std::chrono::duration;
using std::chrono::steady_clock;

constexpr double own_seconds = 600;
constexpr double campaign_share = 0.75;  // of the time, if something was found: the rest makes it small
constexpr std::size_t most_shrunk = 3;   // findings of one target

constexpr const char* examples =
    "Examples:\n"
    "  faultline stress                          ten minutes on the targets that are here\n"
    "  faultline stress -t lab:dmirror --lab-kernel arch/x86/boot/bzImage --time 60\n"
    "                                            a minute on your own kernel\n"
    "  faultline stress -t lab:dmirror --lab-flavour kasan\n"
    "                                            on a kernel that sees each use after free. It is slower: once\n"
    "                                            'ci/lab build --flavour kasan' has built it\n"
    "  cd ~/linux; make bzImage; faultline stress\n"
    "                                            ten minutes on the kernel that was just built there\n"
    "  faultline stress --resume results/runs/.../journal.jsonl --time 3600\n"
    "                                            goes on for an hour, with the same seed, after it was stopped,\n"
    "                                            also by kill -9\n"
    "\n"
    "First each written scenario gets a short slice of the time. Then the time goes to those of which many\n"
    "allowed outcomes were not seen yet, to all small programs (pairs of operations that conflict first),\n"
    "and to random ones. A finding is told at once, each one time; the campaign goes on, in the lab with a\n"
    "fresh kernel where the old one has warned. The last quarter of the time makes the scenarios of\n"
    "findings small (faultline shrink does so with any).\n"
    "\n"
    "Nothing dangerous is done to this machine. Ctrl-C ends it in good order; a second one at once.\n"
    "Exit codes: 0 nothing was found, 1 something was found, 2 bad usage or input, 3 nothing could be\n"
    "decided, or it was interrupted, 4 the bench itself failed.";

struct Arguments {
  std::vector<std::string> targets;
  std::vector<std::string> paths;
  double seconds = 0;
  std::uint64_t seed = 0;
  bool has_seed = false;
  std::string journal;
  std::string resume;
  bool stop_at_first = false;
  LabOptions lab;
  std::vector<std::string> command_line;
};

// First the campaign, then what it has found is made small.
class Stress : public WorkSource {
 public:
  struct Options {
    double seconds = 0;
    std::function<double()> clock;  // seconds since this part began
    std::function<Shrinking::Options(std::size_t targets)> shrinking;
  };
  Stress(Campaign& campaign, Options options) : campaign_(campaign), options_(std::move(options)) {}

  std::optional<Work> next(const std::string& target, const Capabilities& can) override {
    if (!shrinking_ && !is_over()) return campaign_.next(target, can);
    if (!shrinking_) start();
    return shrinking_->next(target, can);
  }
  bool told(const Trial& trial, bool closed) override {
    return shrinking_ ? shrinking_->told(trial, closed) : campaign_.told(trial, closed);
  }
  bool shrinks() const { return shrinking_ != nullptr; }
  void end() {
    if (shrinking_) shrinking_->end();
  }

 private:
  bool is_over() const { return options_.clock() >= options_.seconds * (campaign_.found().empty() ? 1 : campaign_share); }
  void start() {
    std::vector<CampaignFinding> findings = campaign_.found();
    const auto rate = [](const CampaignFinding& each) {
      return each.iterations == 0 ? 0 : static_cast<double>(each.count) / static_cast<double>(each.iterations);
    };
    std::ranges::stable_sort(findings, std::ranges::greater{}, rate);
    std::map<std::string, std::size_t> of;
    std::erase_if(findings, [&](const CampaignFinding& each) { return ++of[each.finding.target] > most_shrunk; });
    shrinking_ = std::make_unique<Shrinking>(std::move(findings), options_.shrinking(of.size()));
  }

  Campaign& campaign_;
  Options options_;
  std::unique_ptr<Shrinking> shrinking_;
};

std::string pools_text(const Campaign::Status& status) {
  std::string text = plural(status.scenarios, "scenario") + " (";
  for (int pool = 0; pool < pools; ++pool)
    text += (pool ? ", " : "") + std::to_string(status.by_pool[pool]) + " " + pool_names[pool];
  return text + ")";
}

std::string progress_text(const Campaign::Status& status, const RunProgress& run, bool shrinks) {
  if (!run.status.empty() && status.iterations == 0) return run.status;
  std::string text = shrinks ? "making findings small: " + run.scenario : pools_text(status);
  if (run.rate >= 0.5) text += ", " + std::to_string(std::llround(run.rate)) + " it/s";
  if (!shrinks) text += ", outcomes " + std::to_string(status.seen) + " of " + std::to_string(status.allowed);
  text += ", " + plural(status.findings, "finding");
  if (run.seconds_left) text += ", " + std::to_string(std::llround(*run.seconds_left)) + " s left";
  return text;
}

// One screen at the end.
std::string end_text(const Campaign& campaign, const RunResult& result, double seconds,
                     const std::map<std::string, Shrunk>& small, const std::map<std::string, std::string>& files,
                     const std::function<std::string(const CampaignFinding&)>& again) {
  const Campaign::Status status = campaign.status();
  std::string text =
      "Campaign of " + fixed(seconds, 1) + " s\n  " + pools_text(status) + "\n  " + plural(status.iterations, "iteration") +
      ", " + std::to_string(std::llround(static_cast<double>(status.iterations) / std::max(seconds, 0.1))) + " a second\n  " +
      std::to_string(status.seen) + " of " + std::to_string(status.allowed) + " allowed outcomes seen\n  " +
      std::to_string(status.features) + " kinds of operations, races and results covered\n";
  for (const Trial& trial : result.trials)
    if (!trial.undecided.empty() && trial.iterations == 0)
      text += "Not run: " + trial.target + ": " + printable(trial.undecided) + "\n";
  for (const Trial& trial : result.trials)
    if (!trial.error.empty())
      text += "Failed: " + trial.program.name + " on " + trial.target + ": " + printable(trial.error) + "\n";
  text += campaign.found().empty() ? "Nothing was found\n" : "Findings: " + std::to_string(campaign.found().size()) + "\n";
  for (const CampaignFinding& each : campaign.found()) {
    const Finding& finding = each.finding;
    text += "  " + padded(finding_text(finding.what), 10) + finding.scenario + " on " + finding.target + ", " +
            fixed(finding.seconds, 1) + " s after the start";
    if (each.count > 0) text += ", in " + std::to_string(each.count) + " of " + plural(each.iterations, "iteration");
    if (each.again > 0) text += ", and in " + plural(static_cast<std::size_t>(each.again), "other scenario");
    text += ": " + printable(finding.why) + "\n";
    const std::string id = identity(finding);
    if (const auto shrunk = small.find(id); shrunk != small.end())
      text += "      Smaller: " + (shrunk->second.rate > 0 ? files.at(id) + ": " : "") + shrunk_text(shrunk->second) + "\n";
    text += "      Again: " + again(each) + "\n";
  }
  return text;
}

int stress_command(const Arguments& given) {
  const auto start = steady_clock::now();
  Arguments arguments = given;
  const std::string root = project_root();
  CampaignJournal before;
  if (!arguments.resume.empty()) {
    before = read_campaign(arguments.resume);
    if (arguments.targets.empty()) arguments.targets = before.targets;
    if (arguments.paths.empty()) arguments.paths = before.paths;
    if (arguments.seconds == 0) arguments.seconds = before.seconds - before.elapsed;
    if (arguments.seconds <= 0)
      throw BadInput("faultline: that campaign has had all of its time; --time says for how long it goes on\n");
    arguments.journal = arguments.resume;
    arguments.lab = before.lab;
    arguments.seed = before.seed;
  } else if (!arguments.has_seed) {
    arguments.seed = std::random_device{}();  // 32 bits only, so that a user can type the seed
  }
  RunOptions options;
  options.start = start;
  const std::optional<KernelTree> tree = kernel_tree_for(arguments.lab);
  if (arguments.targets.empty() && tree) arguments.targets = {"lab:dmirror"};
  options.targets = arguments.targets.empty() ? targets_here(root) : targets_of(arguments.targets, arguments.lab, false);
  options.commit = take_kernel(tree, options.targets, arguments.lab);
  arguments.paths = paths_or_all(arguments.paths, root);
  const double seconds = arguments.seconds > 0 ? arguments.seconds : own_seconds;
  options.seconds = seconds;
  options.seed = arguments.seed;
  options.stop_at_first = arguments.stop_at_first;
  check_lab(root, arguments.lab, options.targets);
  options.about = {{"command", arguments.command_line},
                   {"program", "faultline stress"},
                   {"journal_version", journal_version},
                   {"paths", arguments.paths},
                   {"lab", to_json(arguments.lab)}};
  std::vector<Scenario> written = load_scenarios(arguments.paths);
  watch_signals();

  const RunFiles files = run_files(arguments.journal, root);
  const std::unique_ptr<Journal> journal = open_journal(files.journal);
  LabOptions lab = arguments.lab;
  lab.gpu = "--seed " + std::to_string(options.seed) + (lab.gpu.empty() ? "" : " " + lab.gpu);
  // Each part of a campaign has its own files of the machines' words.
  options.machine = machines(root, lab, files.prefix + (before.parts > 0 ? "part" + std::to_string(before.parts + 1) + "-" : ""));
  ProgressBar bar(stderr, ::isatty(2));
  const Predictor predictor = reference();
  const auto clock = [&] { return duration<double>(steady_clock::now() - start).count(); };
  const auto complain = [&](const std::string& line) {
    bar.clear();
    std::fprintf(stderr, "faultline: %s\n", printable(line).c_str());
  };
  const auto again = [&](const CampaignFinding& found) {
    std::string text =
        "faultline run -t " + shell_word(found.finding.target) + " --seed " + std::to_string(found.seed) + " --time 60";
    for (const std::string& option : options_of(arguments.lab, 0, parse_target(found.finding.target)))
      text += " " + shell_word(option);
    return text + " " + shell_word(found.file);
  };

  std::string targets;
  for (const TargetWord& target : options.targets) targets += " " + target.word();
  std::cout << "Seed " << options.seed << ", " << fixed(seconds, 1) << " s on" << targets << "\n"
            << kernel_line(tree, options, arguments.lab) << std::flush;

  const auto tell = [&](const Finding& finding, const std::string& how) {
    bar.clear();
    std::cout << finding_line(finding, how) << std::flush;
  };
  Campaign campaign(
      {.written = std::move(written),
       .predictor = predictor,
       .seed = options.seed,
       .seconds = (before.elapsed + seconds) / static_cast<double>(std::max<std::size_t>(options.targets.size(), 1)),
       .prefix = files.prefix,
       .stopped = [] { return stop_asked() != Stop::none; },
       .write =
           [&](const std::string& event, const json& record) {
             journal->write(event, record);
             const std::string file = event == "campaign_finding" ? record.at("file") : "";
             if (file.starts_with(files.prefix) && !std::filesystem::exists(file))
               if (const std::string why = write_text(record.at("text"), file); !why.empty()) complain(why);
           },
       .found = [&](const Finding& finding) { tell(finding, "faultline stress --resume " + shell_word(files.journal)); },
       .clock = [&] { return before.elapsed + clock(); }});
  if (!arguments.resume.empty()) {
    std::ifstream earlier(arguments.resume);
    const std::size_t slices = campaign.resume(earlier);
    std::cout << "Goes on after " << fixed(before.elapsed, 1) << " s, " << plural(slices, "slice") << ", "
              << plural(campaign.found().size(), "finding") << "\n"
              << std::flush;
  }

  std::map<std::string, Shrunk> small;
  std::map<std::string, std::string> small_files;
  const auto shrinking = [&](std::size_t count) {
    return Shrinking::Options{.seed = options.seed,
                              .seconds = (seconds - clock()) / static_cast<double>(std::max<std::size_t>(count, 1)),
                              .clock = clock,
                              .prefix = files.prefix,
                              .done = [&](const Shrunk& shrunk) {
                                const std::string id = identity(shrunk.finding.finding);
                                const std::string file = files.prefix + shrunk.finding.finding.scenario + "-shrunk.scn";
                                if (shrunk.rate > 0)
                                  if (const std::string why = write_shrunk(shrunk, file); !why.empty()) complain(why);
                                small.emplace(id, shrunk);
                                small_files[id] = file;
                              }};
  };
  Stress stress(campaign, {.seconds = seconds, .clock = clock, .shrinking = shrinking});
  RunEvents events;
  events.stop = stop_asked;
  events.progress = [&](const RunProgress& progress) {
    RunProgress shown;
    shown.status = progress_text(campaign.status(), progress, stress.shrinks());
    bar.update(shown);
  };
  const ReportStyle style{.journal = files.can_replay ? files.journal : "", .options = [&](const std::string& target) {
                            return options_of(arguments.lab, 0, parse_target(target));
                          }};
  events.again = [&](const Trial& trial) { return again_command(trial, style); };
  events.finding = [&](const Finding& finding, const std::string& how) {
    Finding own = finding;
    own.seconds += before.elapsed;
    if (!stress.shrinks() && !campaign.knows(finding)) tell(own, how);
  };
  events.note = complain;
  RunResult result;
  try {
    result = run_by_slices(stress, options, predictor, *journal, events);
  } catch (const TargetNotHere& error) {
    bar.clear();
    throw BadInput("faultline: " + std::string(error.what()) + "\n");
  }
  stress.end();
  bar.clear();
  int status = campaign.found().empty() ? result.exit_code() : exits::found;
  if (status == exits::agree && result.interrupted) status = exits::undecided;
  std::cout << end_text(campaign, result, before.elapsed + clock(), small, small_files, again)
            << journal_text(files.journal, result.journal_failure);
  if (files.can_replay)
    std::cout << "Go on: faultline stress --resume " << shell_word(files.journal) << " --time "
              << std::max(1LL, std::llround(seconds)) << "\n";
  std::cout << "Exit " << exit_reason(status) << "\n" << std::flush;
  forget(files);
  return status;
}

}  // namespace

void add_stress(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("stress", "Look for bugs for some time, with scenarios of every kind");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("PATH", arguments->paths, "Scenarios, and folders that are searched for *.scn [stress/scenarios]");
  command->add_option("-t,--target", arguments->targets, "Where; 'faultline targets' lists what is here [all that are here]")
      ->allow_extra_args(false)
      ->type_name("TARGET");
  command->add_option("--time", arguments->seconds, "Seconds, for all targets together [600]")
      ->check(above_zero(1e9))
      ->type_name("SECONDS");
  CLI::Option* seed = command->add_option("--seed", arguments->seed, "Seed of the scenarios and of all random numbers [random]")
                          ->check(a_seed())
                          ->type_name("N");
  CLI::Option* journal =
      command->add_option("--json", arguments->journal, "Write the journal (JSON lines) here")->type_name("FILE");
  command->add_option("--resume", arguments->resume, "Go on with the campaign of this journal")
      ->type_name("JOURNAL")
      ->excludes(seed)
      ->excludes(journal);
  command->add_flag("--stop-at-first", arguments->stop_at_first, "End the campaign at the first finding");
  add_lab_options(*command, arguments->lab);
  command->footer(examples);
  command->callback([arguments, seed, &status] {
    arguments->has_seed = seed->count() > 0;
    arguments->command_line = own_command_line();
    status = stress_command(*arguments);
  });
}

}  // namespace faultline::app
