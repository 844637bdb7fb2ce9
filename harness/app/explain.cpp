// faultline explain
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/app/guards.h"
#include "harness/language/diagnostic.h"
#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/language/words.h"
#include "harness/outcome.h"
#include "harness/queries.h"
#include "kernels_ref/memory_model/prediction.h"
#include "kernels_ref/predict.h"
#include "results/report.h"

namespace faultline::app {
namespace {

constexpr const char* examples =
    "Examples:\n"
    "  faultline explain fork.scn                 how each claim comes about, or what forbids it\n"
    "  faultline explain fork.scn 'C:r0 = 1 and C:r1 = 0'\n"
    "                                             one condition, written as in a claim\n"
    "  faultline explain --without fork-notifies fork.scn 'C:r0 = 1'\n"
    "                                             on a kernel that lacks a rule\n"
    "\n"
    "For an allowed outcome, prints a shortest schedule: a column for each thread, a line for each\n"
    "step, named after the kernel function. For a forbidden one, prints the rules of the kernel that\n"
    "forbid it (without any one of them it can happen), and a schedule without one of them. For a\n"
    "scenario about the memory model, prints executions: which store each load reads from.";

constexpr std::uint64_t most_states = 2'000'000;

struct Arguments {
  std::string file;
  std::string condition;
  std::string device_class;
  std::vector<std::string> without;
};

std::string text_of(const Condition& condition) {
  std::string text = print(condition);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// The schedule as text. Each statement is printed above its first step.
std::string trace_text(const Program& program, const Explanation& explanation) {
  ref::Schedule schedule = explanation.schedule;
  std::vector<int> last(program.threads.size(), -1);
  for (std::size_t i = 0; i < schedule.size(); ++i) {
    const int thread = schedule[i].thread, statement = explanation.statement[i];
    if (statement < 0 || statement == last[thread]) continue;
    last[thread] = statement;
    std::string text = print(program, program.threads[thread], program.threads[thread].statements[statement]);
    while (text.ends_with('\n')) text.pop_back();
    schedule[i].heading = text.substr(std::min(text.find_first_not_of(' '), text.size()));
  }
  std::vector<std::string> names;
  for (const Thread& thread : program.threads) names.push_back(thread.name);
  names.push_back("kernel");  // the column for the kernel's own threads
  std::string text = ref::schedule_text(schedule, names);
  return text + "Outcome: " + describe(schema(program), program, explanation.outcome, true) + "\n";
}

// One way to an outcome, as text. Fewer steps are better.
struct Way {
  std::string text;
  std::size_t steps = 0;
};
struct Search {
  std::optional<Way> way;
  bool complete = true;  // false: the budget ran out first
};

Search search(const Program& program, const Facets& facets, const std::function<bool(const Outcome&)>& wanted) {
  if (!is_about_memory_model(program)) {
    const Explained explained = explain(program, facets, wanted, most_states);
    if (!explained.found) return {std::nullopt, explained.complete};
    return {Way{"shortest schedule:\n" + trace_text(program, *explained.found), explained.found->schedule.size()}};
  }
  const auto execution = ref::find_execution(program, facets.dropped, wanted);
  if (!execution) return {};
  std::size_t width = 0;
  for (const ref::Read& each : *execution) width = std::max(width, each.read.size());
  std::string text = "possible execution:\n";
  for (const ref::Read& each : *execution) text += "  " + padded(each.read, width) + "  reads from  " + each.from + "\n";
  return {Way{text, execution->size()}};
}

// False if the budget ran out before there was an answer.
bool explain_condition(const Program& program, const Facets& facets, const Condition& condition) {
  const std::vector<Observable> keys = schema(program);
  const auto wanted = [&](const Outcome& outcome) { return holds(condition, keys, outcome); };
  std::cout << "\nCondition " << text_of(condition) << "\n";
  const Search own = search(program, facets, wanted);
  if (own.way) {
    std::cout << "Allowed. A " << own.way->text;
    return true;
  }
  if (!own.complete) {
    std::cout << "Undecided: the budget of states ended first\n";
    return false;
  }
  std::vector<std::string> guards;
  std::optional<Way> best;
  const auto way = [&](const Facets& fewer) { return search(program, fewer, wanted).way; };
  each_guard(facets, way, [&](const std::string& rule, const Way& other) {
    guards.push_back(rule);
    if (best && other.steps >= best->steps) return;
    best = other;
    std::swap(guards.front(), guards.back());
  });
  if (!best) {
    std::cout << "Forbidden, and not by one rule alone: leaving out any one of them does not let it happen\n";
    return true;
  }
  std::cout << "Forbidden by";
  for (std::size_t i = 0; i < guards.size(); ++i) std::cout << (i ? ", " : " ") << guards[i];
  std::cout << "\nWithout " << guards.front() << ", a " << best->text;
  return true;
}

ref::Rule rule(const std::string& name) {
  if (const auto found = ref::named<ref::Rule>(name)) return *found;
  const std::vector<std::string> names(ref::names_of<ref::Rule>.begin(), ref::names_of<ref::Rule>.end());
  throw BadInput("faultline: unknown rule '" + name + "'; " + did_you_mean_or_known(name, names) + "\n");
}

int explain_command(const Arguments& arguments) {
  const Scenario scenario = load_scenarios({arguments.file}).front();
  const Program& program = scenario.program;
  Facets facets;
  facets.device_class = class_of_claims(program);
  if (!arguments.device_class.empty()) facets.device_class = *words::find(words::device_classes, arguments.device_class);
  for (const std::string& name : arguments.without) facets.dropped.set(static_cast<std::size_t>(rule(name)));
  if (const std::string why = unpredicted(program, facets.device_class); !why.empty())
    throw BadInput("faultline: nothing is predicted: " + why + "\n");
  std::vector<Condition> conditions;
  if (!arguments.condition.empty()) {
    conditions.push_back(parse_condition(program, arguments.condition).condition);
  } else {
    for (const Claim& claim : program.claims) {
      conditions.push_back(claim.condition);
      // An `always` forbids the opposite of its condition.
      if (claim.kind == Claim::Kind::always)
        conditions.back() = {Condition::Kind::negation, "", "", {claim.condition}, claim.place};
    }
    if (conditions.empty()) throw BadInput("faultline: " + arguments.file + " makes no claim: give a CONDITION\n");
  }
  watch_signals();
  const Allowed allowed =
      predict(scenario.program, facets, {.states = most_states}, [](std::uint64_t) { return stop_asked() == Stop::none; });
  if (!allowed.waiting.empty()) throw BadInput(render(endless_wait(scenario, allowed)));
  std::cout << "Scenario " << program.name << " (device class " << words::text(words::device_classes, facets.device_class)
            << ")\n";
  bool decided = true;
  for (const Condition& condition : conditions) {
    if (stop_asked() != Stop::none) break;
    decided = explain_condition(program, facets, condition) && decided;
    std::cout.flush();
  }
  return decided && stop_asked() == Stop::none ? exits::agree : exits::undecided;
}

}  // namespace

void add_explain(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("explain", "How an outcome comes about, step by step, or what forbids it");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("FILE", arguments->file, "A scenario")->required();
  command->add_option("CONDITION", arguments->condition, "What to look for; without it, what the scenario claims");
  command->add_option("--class", arguments->device_class, "Device class, instead of the scenario's own")
      ->check(CLI::IsMember(words::all(words::device_classes)));
  command->add_option("--without", arguments->without, "Leave out a rule of the kernel (may be repeated)")
      ->allow_extra_args(false);
  command->footer(examples);
  command->callback([arguments, &status] { status = explain_command(*arguments); });
}

}  // namespace faultline::app
