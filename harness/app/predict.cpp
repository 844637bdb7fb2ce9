// faultline predict
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/language/diagnostic.h"
#include "harness/language/printer.h"
#include "harness/language/words.h"
#include "results/report.h"

namespace faultline::app {
namespace {

using nlohmann::json;

constexpr const char* examples =
    "Examples:\n"
    "  faultline predict stress/scenarios/fork/order.scn\n"
    "  faultline predict --all fork.scn          results without a name too\n"
    "  faultline predict --json fork.scn         for programs\n"
    "  faultline predict --class shares-cpu-tables fork.scn\n"
    "                                            for a device that has no table of its own\n"
    "\n"
    "Ctrl-C prints what was found so far, marked incomplete. If the reference refutes a claim, that is\n"
    "bad input: the exit code is 2, and the outcome that refutes the claim is shown.";

struct Arguments {
  std::string file;
  std::string device_class;
  bool as_json = false;
  bool all = false;
};

json to_json(const Program& program, DeviceClass device_class, const Allowed& allowed, const std::vector<ClaimRow>& claims) {
  json keys = json::array();
  for (const Observable& observable : allowed.schema) keys.push_back(observable.key);
  json rows = json::array();
  static constexpr const char* states[] = {"holds", "refuted", "undecided"};
  for (const ClaimRow& row : claims) {
    std::string text = print(row.claim);
    while (text.ends_with('\n')) text.pop_back();
    json entry = {{"claim", text}, {"state", states[static_cast<int>(row.check.state)]}};
    if (row.check.counterexample) entry["counterexample"] = *row.check.counterexample;
    rows.push_back(entry);
  }
  return {{"scenario", program.name},
          {"class", words::text(words::device_classes, device_class)},
          {"schema", keys},
          {"outcomes", allowed.outcomes},
          {"complete", allowed.complete},
          {"states", allowed.states},
          {"executions", allowed.executions},
          {"seconds", allowed.seconds},
          {"claims", rows},
          {"known_bugs", allowed.known_bugs},
          {"undefined", allowed.undefined},
          {"unknown", allowed.unknown},
          {"findings", allowed.findings}};
}

int predict_command(const Arguments& arguments) {
  const std::vector<Scenario> scenarios = load_scenarios({arguments.file});
  std::optional<DeviceClass> asked;
  if (!arguments.device_class.empty()) asked = words::find(words::device_classes, arguments.device_class);
  watch_signals();
  const Predictor predictor = reference();
  std::string refuted;
  bool findings = false;
  bool first = true;
  for (const Scenario& scenario : scenarios) {
    const DeviceClass own = class_of_claims(scenario.program);
    const DeviceClass device_class = asked.value_or(own);
    const Allowed allowed = predictor(scenario.program, device_class, [](std::uint64_t) { return stop_asked() == Stop::none; });
    if (!allowed.waiting.empty()) refuted += render(endless_wait(scenario, allowed));
    std::vector<ClaimRow> rows;
    // Claims are about the scenario's own device class. For another class they are printed, but refuting one is no error.
    for (const Claim& claim : scenario.program.claims) {
      rows.push_back({claim, check_claim(claim, allowed)});
      if (rows.back().check.state == ClaimState::refuted && device_class == own)
        refuted += render(refutation(scenario, claim, allowed, rows.back().check));
    }
    findings = findings || !allowed.findings.empty();
    if (arguments.as_json) {
      std::cout << to_json(scenario.program, device_class, allowed, rows).dump() << "\n";
    } else {
      std::cout << (first ? "" : "\n") << prediction_text(scenario.program, device_class, allowed, rows, arguments.all);
    }
    std::cout.flush();
    first = false;
    if (stop_asked() != Stop::none) break;
  }
  if (!refuted.empty()) throw BadInput(refuted);
  return findings ? exits::found : exits::agree;
}

}  // namespace

void add_predict(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("predict", "Every outcome that a healthy kernel can show");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("FILE", arguments->file, "A scenario, or a folder of them")->required();
  command->add_flag("--json", arguments->as_json, "One JSON object a scenario, on one line");
  command->add_flag("--all", arguments->all, "Show results without a name too");
  command->add_option("--class", arguments->device_class, "Device class, instead of the scenario's own")
      ->check(CLI::IsMember(words::all(words::device_classes)));
  command->footer(examples);
  command->callback([arguments, &status] { status = predict_command(*arguments); });
}

}  // namespace faultline::app
