// faultline repro
#include "stress/repro/repro.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/app/guards.h"
#include "harness/app/shrunk_file.h"
#include "harness/language/diagnostic.h"
#include "harness/language/printer.h"
#include "harness/language/words.h"
#include "harness/outcome.h"
#include "kernels_ref/predict.h"
#include "results/report.h"

namespace faultline::app {
namespace {

namespace fs = std::filesystem;
using repro::Machine;

constexpr const char* examples =
    "Examples:\n"
    "  faultline repro fork.scn -o repro.c        looks for outcomes that the claims of fork.scn forbid\n"
    "  faultline repro fork.scn --outcome 'C:r0 = 1 and C:r1 = 0' -o repro.c\n"
    "                                             for one outcome, written as in a claim\n"
    "  cc -O2 -pthread repro.c && ./a.out 10000 60; echo $?\n"
    "                                             10000 iterations, at most 60 seconds\n"
    "  faultline repro fork.scn -t host           a CPU thread in the place of the device\n"
    "\n"
    "The C file needs nothing of faultline: fit for a mail. It exits with 1 as soon as the outcome shows,\n"
    "with 0 if it did not, 2 if the machine lacks something, 3 if an iteration did not end. Its comment says\n"
    "what is looked for, and which rules of the kernel forbid it. Devices are test_hmm's for a scenario of\n"
    "class recoverable, and pins of io_uring for class pinned. What C cannot say is refused with its line.\n"
    "A file is replaced only if 'faultline repro' has made it.";

constexpr const char* mark = "The same as a scenario of faultline:";  // each reproducer has it
constexpr std::uint64_t most_states = 2'000'000;
constexpr std::uint64_t most_states_of_a_guard = 20'000;

struct Arguments {
  std::string file, output = "-", outcome, target, seen_on;
  bool force = false;
};

const std::vector<std::pair<std::string, Machine>> targets = {
    {"host", Machine::host}, {"pinned", Machine::pinned}, {"dmirror", Machine::dmirror}};

DeviceClass class_of(Machine machine) {
  switch (machine) {
    case Machine::host: return DeviceClass::shares_cpu_tables;
    case Machine::pinned: return DeviceClass::pinned;
    case Machine::dmirror: break;
  }
  return DeviceClass::recoverable;
}

std::string message(const std::string& text, const std::string& file, const repro::Refusal& refusal) {
  return render(Source(text, file).about(refusal.place, refusal.word, "a reproducer in C cannot have this: " + refusal.why));
}

Machine machine_for(const Scenario& scenario, const std::string& target) {
  for (const auto& [word, machine] : targets)
    if (word == target) return machine;
  if (const auto own = repro::machine_of(scenario.program)) return *own;
  const Device& device = scenario.program.devices.front();
  const std::string name = words::text(words::device_classes, device.device_class);
  throw BadInput(render(Source(scenario.text, scenario.file)
                            .about(device.place, name, "a program in C cannot drive a device of class " + name,
                                   "'-t host', '-t pinned' or '-t dmirror' puts another device in its place")));
}

// Whether a healthy kernel may show it. A device may fault where a hit is predicted.
bool may_show(const Condition& condition, const Allowed& allowed) {
  std::vector<std::size_t> faults;
  for (std::size_t i = 0; i < allowed.schema.size(); ++i)
    if (allowed.schema[i].kind == Observable::Kind::faults) faults.push_back(i);
  return std::ranges::any_of(allowed.outcomes, [&](const Outcome& outcome) {
    if (holds(condition, allowed.schema, outcome)) return true;
    Outcome other = outcome;
    for (const std::size_t i : faults) {
      if (outcome[i] != text_hit) continue;
      Outcome one = outcome;
      one[i] = other[i] = text_fault;
      if (holds(condition, allowed.schema, one) || holds(condition, allowed.schema, other)) return true;
    }
    return false;
  });
}

// Rules of the kernel, each of which is needed to forbid it.
std::string guards_of(const Program& program, const Facets& facets, const Condition& condition) {
  const std::vector<Observable> keys = schema(program);
  const auto wanted = [&](const Outcome& outcome) { return holds(condition, keys, outcome); };
  std::string rules;
  each_guard(
      facets, [&](const Facets& fewer) { return explain(program, fewer, wanted, most_states_of_a_guard).found; },
      [&](const std::string& rule, const Explanation&) { rules += (rules.empty() ? "" : ", ") + rule; });
  return rules;
}

void note(const std::string& text) { std::cerr << "faultline: " << text << "\n"; }

// What the claims forbid. A claim that several things always hold forbids the opposite of each.
std::vector<Condition> forbidden_by(const std::vector<Claim>& claims) {
  std::vector<Condition> forbidden;
  for (const Claim& claim : claims) {
    const Condition& condition = claim.condition;
    if (claim.kind == Claim::Kind::never) forbidden.push_back(condition);
    if (claim.kind != Claim::Kind::always) continue;
    const bool several = condition.kind == Condition::Kind::all;
    for (const Condition& part : several ? condition.parts : std::vector{condition})
      forbidden.push_back({Condition::Kind::negation, "", "", {part}, part.place});
  }
  return forbidden;
}

// Those of them that the C program can tell and that no healthy kernel shows on this device. Says which ones are left out.
std::vector<Condition> looked_for_by_claims(const Scenario& scenario, Machine machine, const Allowed& allowed) {
  std::vector<Condition> looked;
  std::string first_refusal;
  for (const Condition& condition : forbidden_by(scenario.program.claims)) {
    if (const auto refusal = repro::cannot_tell(scenario.program, condition, machine)) {
      note("left out: " + print(condition) + " (" + refusal->why + ")");
      if (first_refusal.empty()) first_refusal = message(scenario.text, scenario.file, *refusal);
    } else if (may_show(condition, allowed)) {
      note("left out: " + print(condition) + " (a healthy kernel may show it on this device)");
    } else {
      looked.push_back(condition);
    }
  }
  if (!looked.empty()) return looked;
  if (!first_refusal.empty()) throw BadInput(first_refusal);
  throw BadInput("faultline: " + scenario.file +
                 " has no claim 'never' or 'always' to look for on this device: give --outcome CONDITION\n");
}

std::string reason_for(const Program& program, const Facets& facets, const Condition& condition, const Allowed& allowed) {
  if (!allowed.complete) return "";
  if (may_show(condition, allowed)) {
    note("the reference allows this outcome: by itself it is no bug");
    return "A healthy kernel may show it.";
  }
  const std::string rules = guards_of(program, facets, condition);
  return "No healthy kernel shows it" +
         (rules.empty() ? "." : ". In the terms of 'faultline explain' it is forbidden by: " + rules + ".");
}

void write(const std::string& path, const std::string& text, bool force) {
  if (path == "-") {
    std::cout << text;
    return;
  }
  std::error_code error;
  if (fs::is_directory(path, error))
    throw BadInput("faultline: " + path + " is a folder: give the name of a file in it, such as " + path + "/repro.c\n");
  if (fs::is_regular_file(path, error) && !force) {
    std::ifstream stream(path, std::ios::binary);
    const std::string before{std::istreambuf_iterator<char>(stream), {}};
    if (before.find(mark) == before.npos)
      throw BadInput("faultline: " + path + " is there, and 'faultline repro' did not make it: --force replaces it\n");
  }
  if (const std::string why = write_text(text, path); !why.empty()) throw BadInput("faultline: " + why + "\n");
}

int repro_command(const Arguments& arguments) {
  const std::vector<Scenario> scenarios = load_scenarios({arguments.file});
  if (scenarios.size() != 1) throw BadInput("faultline: " + arguments.file + ": a reproducer is made from one scenario\n");
  const Scenario& scenario = scenarios.front();
  const Program& program = scenario.program;
  const Machine machine = machine_for(scenario, arguments.target);
  if (const auto refusal = repro::cannot_say(program, machine)) throw BadInput(message(scenario.text, scenario.file, *refusal));
  std::optional<GivenCondition> given;
  if (!arguments.outcome.empty()) {
    given = parse_condition(program, arguments.outcome);
    if (const auto refusal = repro::cannot_tell(program, given->condition, machine))
      throw BadInput(message(given->text, "CONDITION", *refusal));
  }
  watch_signals();
  Facets facets;
  facets.device_class = class_of(machine);
  Allowed allowed;
  if (unpredicted(program, facets.device_class).empty())
    allowed = predict(program, facets, {.states = most_states}, [](std::uint64_t) { return stop_asked() == Stop::none; });
  if (!allowed.waiting.empty()) throw BadInput(render(endless_wait(scenario, allowed)));
  const std::vector<Condition> looked = given ? std::vector{given->condition} : looked_for_by_claims(scenario, machine, allowed);
  Condition shows = looked.front();
  if (looked.size() > 1) shows = {Condition::Kind::any, "", "", looked, {}};
  repro::Story story{arguments.seen_on, {}, reason_for(program, facets, shows, allowed)};
  for (const Condition& each : looked) story.looked.push_back((story.looked.empty() ? "" : "or ") + print(each));
  if (stop_asked() != Stop::none) return exits::undecided;
  write(arguments.output, repro::c_text(program, shows, machine, story), arguments.force);
  return exits::agree;
}

}  // namespace

void add_repro(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("repro", "One C file that shows a bug, and needs nothing of faultline");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("FILE", arguments->file, "A scenario")->required();
  command->add_option("-o,--output", arguments->output, "The C file; '-' is standard output [-]");
  command->add_option("--outcome", arguments->outcome, "A CONDITION to look for, instead of what the scenario claims");
  command->add_option("-t,--target", arguments->target, "What drives the device: host, pinned or dmirror [by its class]")
      ->check(CLI::IsMember({"host", "pinned", "dmirror"}));
  command->add_option("--seen-on", arguments->seen_on, "Where it was seen, for the comment: a kernel, a target");
  command->add_flag("--force", arguments->force, "Replace a file, whoever made it");
  command->footer(examples);
  command->callback([arguments, &status] { status = repro_command(*arguments); });
}

}  // namespace faultline::app
