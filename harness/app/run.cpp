// faultline run
#include "harness/run/run.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/app/kernel_tree.h"
#include "harness/app/run_options.h"
#include "harness/executor/parameters.h"
#include "harness/language/diagnostic.h"
#include "harness/language/parser.h"
#include "results/progress.h"
#include "results/report.h"

namespace faultline::app {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr const char* examples =
    "Examples:\n"
    "  faultline run fork.scn                    1000 iterations on this machine's own mm\n"
    "  faultline run -t host -t lab:dmirror --time 600 stress/scenarios\n"
    "                                            ten minutes, shared by all of them\n"
    "  faultline run -t amdgpu -t nouveau --time 600 stress/scenarios\n"
    "                                            on the GPUs here, amdgpu's in each of their modes\n"
    "  faultline run -t lab:dmirror --lab-kernel arch/x86/boot/bzImage stress/scenarios\n"
    "                                            on your own kernel\n"
    "  faultline run -t lab:dmirror --lab-flavour kasan stress/scenarios\n"
    "                                            on a kernel that sees each use after free; it is slower\n"
    "  cd ~/linux; make bzImage; faultline run   all scenarios on the kernel that was just built there\n"
    "  faultline run -t lab:amdgpu --lab-kernel bzImage --lab-modules ~/linux fork.scn\n"
    "                                            your own amdgpu on a GPU in software. What hardware is free\n"
    "                                            to choose there (latencies, the order of faults ...) follows\n"
    "                                            from the seed; --lab-gpu '--seed 0' is calm, '--vram 32M'\n"
    "                                            soon runs out of memory\n"
    "  git bisect run faultline run --bisect -t lab:dmirror --lab-kernel bzImage fork.scn\n"
    "\n"
    "An iteration that does not end in time is called a hang only with evidence: its tasks ask for no CPU,\n"
    "or got plenty of it, on a machine that is not starved, and it hangs again with four times the\n"
    "deadline. To find that out takes up to a minute, and some minutes on a busy machine; each watch ends\n"
    "after two minutes or six deadlines. The set-up of an iteration (opening devices, building kernels)\n"
    "may take two minutes and is never a hang.\n"
    "\n"
    "What is found is told at once, with the command that shows it again; the verdicts follow at the end\n"
    "of each scenario (with --time: of the run). --time is for the whole call, starts and ends included:\n"
    "first a short slice for each scenario, then longer ones.\n"
    "\n"
    "Every run keeps a journal (results/runs/, or --json FILE), readable whatever happens to the run.\n"
    "Ctrl-C ends it in good order; a second one at once.\n"
    "Exit codes: 0 all agree, 1 something was found, 2 bad usage or input, 3 nothing could be\n"
    "decided, 4 the bench itself failed. With --bisect: 125 instead of 3 and 4, which skips the commit;\n"
    "128 instead of 2 and after Ctrl-C, which ends the bisection.";

struct Arguments {
  std::vector<std::string> targets;
  std::vector<std::string> paths;
  std::uint64_t iterations = 1000;
  double seconds = 0;
  std::uint64_t seed = 0;
  std::string journal;
  LabOptions lab;
  double deadline = 0;
  std::string replay;
  std::string crash;
  double grace = 30;
  bool bisect = false;
  bool stop_at_first = false;
  bool verbose = false;
  bool unseen = false;
  bool has_seed = false;
  std::vector<std::string> command_line;
};

// The batch on one line of a journal, and the text of its scenario, which an earlier line has.
struct JournalledBatch {
  json record;
  std::string text;
};

JournalledBatch journalled_batch(std::istream& file, std::uint64_t number) {
  JournalledBatch found;
  std::map<std::string, std::string> texts;  // by the scenario's name
  std::string line;
  for (std::uint64_t i = 0; i < number; ++i) {
    if (!std::getline(file, line)) throw std::runtime_error("the journal has " + std::to_string(i) + " lines");
    if (line.find("\"text\"") == std::string::npos) continue;  // most lines are long, and are no scenario
    const json told = json::parse(line, nullptr, false);
    if (told.is_object() && told.value("ev", "") == "scenario") texts[told.value("scenario", "")] = told.value("text", "");
  }
  found.record = json::parse(line, nullptr, false);
  if (!found.record.is_object() || found.record.value("ev", "") != "batch") throw std::runtime_error("that line is not a batch");
  found.text = texts[found.record.value("scenario", "")];
  return found;
}

// "journal.jsonl:17": the parameters of the batch on that line. They mean something only for its own scenario.
Parameters journalled_parameters(const std::string& word, const std::vector<Scenario>& scenarios) {
  try {
    const std::size_t colon = word.rfind(':');
    std::uint64_t number = 0;
    if (colon != std::string::npos) number = std::strtoull(word.c_str() + colon + 1, nullptr, 10);
    if (number == 0) throw std::runtime_error("not FILE:LINE");
    const std::string name = word.substr(0, colon);
    // Before it is opened: a FIFO that nobody writes would block.
    if (std::error_code error; fs::exists(name, error) && !fs::is_regular_file(name, error))
      throw std::runtime_error("not a file");
    std::ifstream file(name);
    if (!file) throw std::runtime_error("the journal cannot be read");
    JournalledBatch batch = journalled_batch(file, number);
    batch.record["id"] = 0;
    const Parameters parameters = std::get<agent::BatchEvent>(agent::parse_event(batch.record.dump())).batch.parameters;
    const std::optional<Program> ran = batch.text.empty() ? std::nullopt : std::optional(parse(batch.text, name));
    for (const Scenario& scenario : scenarios) {
      const std::string wanted = batch.record.value("scenario", scenario.program.name);
      if (scenario.program.name != wanted)
        throw std::runtime_error("that batch is of the scenario '" + wanted + "', not of " + scenario.file +
                                 "; give only its file");
      if (ran && *ran != scenario.program)
        throw std::runtime_error(scenario.file + " has changed since; the journal has the text that was run");
      if (const std::string wrong = misfit(parameters, scenario.program, INT_MAX); !wrong.empty())
        throw std::runtime_error(wrong);
    }
    return parameters;
  } catch (const std::exception& error) {
    throw BadInput("faultline: --replay " + word + ": " + error.what() + "\n");
  }
}

// Checks all scenarios for wrong claims and endless waits, before anything runs.
bool check_claims(const std::vector<Scenario>& scenarios, const Predictor& predictor, ProgressBar& bar) {
  std::string refuted;
  RunProgress progress;
  for (const Scenario& scenario : scenarios) {
    progress.status = "checking the claims of " + scenario.program.name;
    bar.update(progress);
    const Allowed allowed =
        predictor(scenario.program, class_of_claims(scenario.program), [](std::uint64_t) { return stop_asked() == Stop::none; });
    if (stop_asked() != Stop::none) return false;
    if (!allowed.waiting.empty()) refuted += render(endless_wait(scenario, allowed));
    for (const Claim& claim : scenario.program.claims) {
      const ClaimCheck check = check_claim(claim, allowed);
      if (check.state == ClaimState::refuted) refuted += render(refutation(scenario, claim, allowed, check));
    }
  }
  bar.clear();
  if (!refuted.empty()) throw BadInput(refuted);
  return true;
}

ReportStyle style_of(const Arguments& arguments, const RunFiles& files) {
  ReportStyle style;
  style.verbose = arguments.verbose;
  style.unseen = arguments.unseen;
  if (files.can_replay) style.journal = files.journal;
  style.iterations = arguments.iterations;
  style.options = [arguments](const std::string& target) {
    return options_of(arguments.lab, arguments.deadline, parse_target(target));
  };
  return style;
}

int run_command(const Arguments& given) {
  Arguments arguments = given;
  const std::string root = project_root();
  RunOptions options;
  const std::optional<KernelTree> tree = kernel_tree_for(arguments.lab);
  const std::vector<std::string> usual = {tree ? "lab:dmirror" : "host"};
  options.targets = targets_of(arguments.targets.empty() ? usual : arguments.targets, arguments.lab, !arguments.crash.empty());
  options.commit = take_kernel(tree, options.targets, arguments.lab);
  const std::vector<Scenario> scenarios = load_scenarios(paths_or_all(arguments.paths, root));
  if (!arguments.replay.empty()) options.parameters = journalled_parameters(arguments.replay, scenarios);
  options.iterations = arguments.iterations;
  if (arguments.seconds > 0) options.seconds = arguments.seconds;
  options.stop_at_first = arguments.stop_at_first;
  // 32 bits only, so that a user can type the seed.
  options.seed = arguments.has_seed ? arguments.seed : std::random_device{}();
  // What is given comes after, and wins.
  const std::string weather = "--seed " + std::to_string(options.seed);
  check_lab(root, arguments.lab, options.targets);
  arguments.lab.gpu = weather + (arguments.lab.gpu.empty() ? "" : " " + arguments.lab.gpu);
  options.deadline_ms = static_cast<int>(arguments.deadline * 1000);
  options.crash = arguments.crash;
  options.patience.grace = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.grace * 1000));
  options.about = {{"command", arguments.command_line}, {"program", "faultline"}, {"journal_version", journal_version}};

  watch_signals();
  ProgressBar bar(stderr, ::isatty(2));
  const Predictor predictor = reference();
  if (!check_claims(scenarios, predictor, bar)) {
    std::fputs("faultline: interrupted before anything ran\n", stderr);
    return arguments.bisect ? exits::bisect_abort : exits::undecided;
  }

  const RunFiles files = run_files(arguments.journal, root);
  std::unique_ptr<Journal> journal;
  try {
    journal = std::make_unique<Journal>(files.journal);
  } catch (const NotAJournal& error) {
    throw BadInput("faultline: the journal " + std::string(error.what()) + "\n");
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "faultline: the journal %s: %s\n", files.journal.c_str(), error.code().message().c_str());
    return arguments.journal.empty() ? exits::bench : exits::usage;
  }
  LabOptions lab = arguments.lab;
  if (!arguments.crash.empty()) lab.append += (lab.append.empty() ? "" : " ") + std::string("faultline.crash=1");
  options.machine = machines(root, lab, files.prefix);

  const ReportStyle style = style_of(arguments, files);
  std::cout << "Seed " << options.seed << "\n";
  std::cout << kernel_line(tree, options, arguments.lab);
  if (std::ranges::any_of(options.targets, &TargetWord::own_gpu)) std::cout << "GPU in software: " << arguments.lab.gpu << "\n";
  std::cout << std::flush;
  RunEvents events;
  events.stop = stop_asked;
  events.progress = [&](const RunProgress& progress) { bar.update(progress); };
  events.trial = [&](const Trial& trial) {
    bar.clear();
    std::cout << trial_text(trial, style) << "\n" << std::flush;
  };
  events.again = [&](const Trial& trial) { return again_command(trial, style); };
  events.finding = [&](const Finding& finding, const std::string& again) {
    bar.clear();
    std::cout << finding_line(finding, again) << std::flush;
  };
  events.note = [&](const std::string& line) {
    bar.clear();
    std::fprintf(stderr, "faultline: %s\n", printable(line).c_str());
  };
  RunResult result;
  try {
    result = run(scenarios, options, predictor, *journal, events);
  } catch (const TargetNotHere& error) {
    bar.clear();
    throw BadInput("faultline: " + std::string(error.what()) + "\n");
  }
  bar.clear();
  const int status = arguments.bisect ? bisect_code(result.exit_code(), result.interrupted) : result.exit_code();
  std::cout << summary_text(result, style, files.journal, status) << std::flush;
  forget(files);
  return status;
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("run", "Run scenarios on targets and compare with what is allowed");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("PATH", arguments->paths, "Scenarios, and folders that are searched for *.scn [all of the project's]");
  command
      ->add_option("-t,--target", arguments->targets,
                   "Where: host, lab:dmirror, amdgpu ...; 'faultline targets' lists what is here [host; in a kernel tree\n"
                   "lab:dmirror]")
      ->allow_extra_args(false)
      ->type_name("TARGET");
  CLI::Option* iterations = command->add_option("--iterations", arguments->iterations, "For each scenario on each target [1000]")
                                ->check(above_zero(1e9))
                                ->type_name("N");
  command->add_option("--time", arguments->seconds, "Seconds for the whole call, instead of iterations")
      ->check(above_zero(1e9))
      ->type_name("SECONDS")
      ->excludes(iterations);
  CLI::Option* seed =
      command->add_option("--seed", arguments->seed, "Seed of the random numbers [random]")->check(a_seed())->type_name("N");
  command->add_option("--json", arguments->journal, "Write the journal (JSON lines) here")->type_name("FILE");
  add_lab_options(*command, arguments->lab);
  command->add_option("--deadline", arguments->deadline, "For the statements of one iteration [5, or 20 on a slow machine]")
      ->check(above_zero(3600))
      ->type_name("SECONDS");
  command->add_option("--replay", arguments->replay, "Use the parameters of the batch on this line of a journal")
      ->type_name("JOURNAL:LINE");
  command->add_flag("--stop-at-first", arguments->stop_at_first, "End the run at the first finding");
  command->add_flag("--bisect", arguments->bisect, "Exit codes for 'git bisect run'");
  command->add_flag("--unseen", arguments->unseen, "List the allowed outcomes that were never seen");
  command->add_flag("-v,--verbose", arguments->verbose, "Print the scenarios' documentation, and results without a name");
  command->add_option("--crash", arguments->crash, "Panic the lab's kernel once while this scenario runs")
      ->type_name("SCENARIO")
      ->group("For tests of the bench");
  command->add_option("--grace", arguments->grace, "How long a machine may be silent after four deadlines [30]")
      ->check(CLI::NonNegativeNumber)
      ->type_name("SECONDS")
      ->group("For tests of the bench");
  command->footer(examples);
  command->callback([arguments, seed, &status] {
    arguments->has_seed = seed->count() > 0;
    arguments->command_line = own_command_line();
    status = run_command(*arguments);
  });
}

}  // namespace faultline::app
