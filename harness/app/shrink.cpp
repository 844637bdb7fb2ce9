// faultline shrink
#include <cstdio>
#include <iostream>
#include <memory>
#include <random>
#include <string>

#include <unistd.h>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/app/run_options.h"
#include "harness/app/shrunk_file.h"
#include "harness/language/printer.h"
#include "results/progress.h"
#include "results/report.h"
#include "stress/campaign/by_slices.h"
#include "stress/campaign/shrinking.h"

namespace faultline::app {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

constexpr const char* examples =
    "Examples:\n"
    "  faultline shrink -t lab:dmirror fork.scn\n"
    "                                            the smallest scenario that still shows what fork.scn shows\n"
    "  faultline shrink -t lab:dmirror --lab-kernel bzImage --time 600 -o small.scn fork.scn\n"
    "                                            on your own kernel, for ten minutes\n"
    "\n"
    "The scenario is run until it has shown its finding some times. Then processes, threads, statements,\n"
    "observes and pages are taken away, one after another, as long as the finding still shows a quarter\n"
    "as often. Claims are left out: what is forbidden, the reference says.\n"
    "Exit codes: 1 it was found, and the file is written; 0 it did not show; 2 bad usage or input;\n"
    "3 nothing could be decided; 4 the bench itself failed.";

struct Arguments {
  std::string target = "host";
  std::string file;
  std::string out;
  double seconds = 120;
  std::uint64_t seed = 0;
  bool has_seed = false;
  std::string journal;
  LabOptions lab;
  std::vector<std::string> command_line;
};

std::string file_beside(const std::string& file) {
  const std::string stem = file.ends_with(".scn") ? file.substr(0, file.size() - 4) : file;
  return stem + "-shrunk.scn";
}

int shrink_command(const Arguments& arguments) {
  const auto start = steady_clock::now();
  const std::string root = project_root();
  RunOptions options;
  options.start = start;
  options.targets = targets_of({arguments.target}, arguments.lab, false);
  const std::vector<Scenario> scenarios = load_scenarios({arguments.file});
  if (scenarios.size() != 1) throw BadInput("faultline: " + arguments.file + ": one scenario, please\n");
  options.seconds = arguments.seconds;
  options.seed = arguments.has_seed ? arguments.seed : std::random_device{}();
  check_lab(root, arguments.lab, options.targets);
  options.about = {{"command", arguments.command_line}, {"program", "faultline shrink"}, {"journal_version", journal_version}};
  watch_signals();

  const RunFiles files = run_files(arguments.journal, root);
  const std::unique_ptr<Journal> journal = open_journal(files.journal);
  options.machine = machines(root, arguments.lab, files.prefix);
  ProgressBar bar(stderr, ::isatty(2));
  std::cout << "Seed " << options.seed << "\n" << std::flush;

  std::optional<Shrunk> result;
  CampaignFinding finding{.finding = {.scenario = scenarios[0].program.name, .target = options.targets[0].word()},
                          .file = scenarios[0].file,
                          .text = scenarios[0].text};
  Shrinking shrinking({finding}, {.seed = options.seed,
                                  .seconds = arguments.seconds,
                                  .clock = [&] { return std::chrono::duration<double>(steady_clock::now() - start).count(); },
                                  .prefix = files.prefix,
                                  .done = [&](const Shrunk& shrunk) { result = shrunk; }});
  RunEvents events;
  events.stop = stop_asked;
  events.progress = [&](const RunProgress& progress) { bar.update(progress); };
  events.finding = [&](const Finding& found, const std::string&) { finding.finding = found; };
  const auto complain = [&](const std::string& line) {
    bar.clear();
    std::cout << std::flush;
    std::fprintf(stderr, "faultline: %s\n", printable(line).c_str());
  };
  events.note = complain;
  RunResult run;
  try {
    run = run_by_slices(shrinking, options, reference(), *journal, events);
  } catch (const TargetNotHere& error) {
    throw BadInput("faultline: " + std::string(error.what()) + "\n");
  }
  shrinking.end();
  bar.clear();
  int status = run.exit_code();
  if (result && result->rate > 0) {
    result->finding.finding.what = finding.finding.what;
    const std::string out = arguments.out.empty() ? file_beside(arguments.file) : arguments.out;
    const std::string why = write_shrunk(*result, out);
    status = why.empty() ? exits::found : exits::bench;
    std::cout << print(result->program);
    if (why.empty()) std::cout << "Written to " << out << ": ";
    else complain(why + ": the scenario is above, and in no file");
    std::cout << shrunk_text(*result) << "\n";
  } else if (status == exits::agree && run.interrupted) {
    std::cout << "Interrupted before " << arguments.file << " had shown a finding, or had run often enough without one\n";
    status = exits::undecided;
  } else if (status == exits::agree) {
    std::cout << "Nothing to make smaller: " << arguments.file << " shows no finding on " << finding.finding.target << "\n";
  } else {
    for (const Trial& trial : run.trials)
      if (const std::string why = reason(trial); !why.empty()) std::cout << trial.target << ": " << printable(why) << "\n";
  }
  std::cout << journal_text(files.journal, run.journal_failure) << "Exit " << exit_reason(status) << "\n" << std::flush;
  forget(files);
  return status;
}

}  // namespace

void add_shrink(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("shrink", "Make the scenario of a finding as small as it can be");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("FILE", arguments->file, "The scenario")->required();
  command->add_option("-t,--target", arguments->target, "Where it shows [host]")->type_name("TARGET");
  command->add_option("--time", arguments->seconds, "At most so many seconds [120]")
      ->check(above_zero(1e9))
      ->type_name("SECONDS");
  command->add_option("-o,--output", arguments->out, "Write the small scenario here [FILE-shrunk.scn]")->type_name("FILE");
  CLI::Option* seed =
      command->add_option("--seed", arguments->seed, "Seed of the random numbers [random]")->check(a_seed())->type_name("N");
  command->add_option("--json", arguments->journal, "Write the journal (JSON lines) here")->type_name("FILE");
  add_lab_options(*command, arguments->lab);
  command->footer(examples);
  command->callback([arguments, seed, &status] {
    arguments->has_seed = seed->count() > 0;
    arguments->command_line = own_command_line();
    status = shrink_command(*arguments);
  });
}

}  // namespace faultline::app
