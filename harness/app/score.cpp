// faultline score
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "kernels_ref/protocol/bugs/historic_bug.h"
#include "results/report.h"

namespace faultline::app {
namespace {

using ref::protocol::HistoricBug;
using ref::protocol::BugScore;

constexpr const char* examples =
    "Examples:\n"
    "  faultline score --reference      historic bugs as variants of the reference's protocols: which\n"
    "                                   check finds each, and after how many executions\n"
    "\n"
    "Executions: how many were completed until one showed the bug. A livelock never completes; it is found\n"
    "as a cycle of states. Without its bug each protocol must be clean, or the row says FALSE ALARM.\n"
    "Planted bugs of a real kernel are scored by stress/broken_kernels.py.\n"
    "Exit codes: 0 all caught, 1 one is not, 3 interrupted.";

std::string number_text(std::uint64_t number) { return number ? std::to_string(number) : "-"; }

int score_reference() {
  const std::vector<HistoricBug> bugs = ref::protocol::historic_bugs();
  std::size_t width = 0;
  for (const HistoricBug& bug : bugs) width = std::max(width, ref::name_of(bug.variant).size());
  watch_signals();
  std::cout << padded("Bug", 5) << padded("Variant", width + 2) << "Executions   States  Caught by\n";
  std::size_t caught = 0, wrong = 0, scored = 0, undecided = 0;
  for (const HistoricBug& bug : bugs) {
    if (stop_asked() != Stop::none) break;
    const BugScore s = score(bug);
    const bool good = s.caught && s.healthy_clean;
    ++scored;
    caught += good;
    undecided += !good && !s.complete;
    wrong += !good && s.complete;
    std::cout << padded(std::to_string(bug.number), 5) << padded(std::string(ref::name_of(bug.variant)), width + 2)
              << right(number_text(s.executions), 10) << right(number_text(s.states), 9) << "  "
              << (s.healthy_clean ? "" : "FALSE ALARM without it; ")
              << (s.caught     ? s.by
                  : s.complete ? "NOT CAUGHT"
                               : "undecided: the budget ended first")
              << "\n"
              << padded("", 5) << bug.what << "\n"
              << std::flush;
  }
  std::cout << "\nNo protocol can show\n";
  for (const auto& bug : ref::protocol::unexpressed_bugs())
    std::cout << padded(std::to_string(bug.number), 5) << bug.what << ":\n" << padded("", 5) << bug.reason << "\n";
  undecided += bugs.size() - scored;
  std::cout << "\n"
            << caught << " of " << bugs.size() << " caught" << (undecided ? ", " + std::to_string(undecided) + " undecided" : "")
            << "\n";
  return wrong ? exits::found : undecided ? exits::undecided : exits::agree;
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
