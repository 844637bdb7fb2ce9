// faultline score
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "kernels_ref/claims/all.h"

namespace faultline::app {
namespace {

constexpr const char* examples =
    "Examples:\n"
    "  faultline score --reference      historic bugs as variants of the reference's protocols: which\n"
    "                                   check finds each, and after how many executions\n"
    "\n"
    "Each protocol must be clean without its bug, or the row says FALSE ALARM. Planted bugs of a real\n"
    "kernel are scored by stress/broken_kernels.py.\n"
    "Exit codes: 0 all caught, 1 one is not, 3 interrupted.";

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

int score_reference() {
  const std::vector<ref::protocol::Mutant> mutants = ref::protocol_mutants();
  std::size_t width = 0;
  for (const auto& mutant : mutants) width = std::max(width, variant_name(mutant.variant).size());
  watch_signals();
  std::cout << padded("Bug", 5) << padded("Variant", width + 2) << "Executions      States  Caught by\n";
  std::size_t caught = 0, wrong = 0, scored = 0;
  for (const auto& mutant : mutants) {
    if (stop_asked() != Stop::none) break;
    const ref::MutantScore s = ref::score(mutant);
    ++scored;
    caught += s.caught && s.healthy_clean;
    wrong += !s.caught || !s.healthy_clean;
    const std::string executions = std::to_string(s.executions), states = std::to_string(s.states);
    std::cout << padded(std::to_string(mutant.bug), 5) << padded(std::string(variant_name(mutant.variant)), width + 2)
              << std::string(10 - std::min<std::size_t>(10, executions.size()), ' ') << executions << "  "
              << std::string(10 - std::min<std::size_t>(10, states.size()), ' ') << states << "  "
              << (s.healthy_clean ? "" : "FALSE ALARM without it; ") << (s.caught ? s.by : "NOT CAUGHT") << "\n"
              << padded("", 7) << variant_text(mutant.variant) << "\n" << std::flush;
  }
  std::cout << "\n" << caught << " of " << mutants.size() << " caught\n";
  return wrong ? exits::found : scored < mutants.size() ? exits::undecided : exits::agree;
}

}  // namespace

void add_score(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("score", "How many planted bugs are caught, by what, and how soon");
  auto reference = std::make_shared<bool>(false);
  command->add_flag("--reference", *reference, "Bugs planted in the reference")->required();
  command->footer(examples);
  command->callback([&status] { status = score_reference(); });
}

}  // namespace faultline::app
