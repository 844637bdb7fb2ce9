#include "harness/run/finding.h"

#include "harness/run/report_title.h"

namespace faultline {

const char* finding_text(Finding::What what) {
  switch (what) {
    case Finding::What::forbidden: return "forbidden";
    case Finding::What::health: return "health";
    case Finding::What::crash: return "crash";
    case Finding::What::hang: return "hang";
    case Finding::What::lost: return "lost";
  }
  return "?";
}

std::vector<Finding> findings(const Trial& trial) {
  std::vector<Finding> found;
  const auto add = [&](Finding::What what, const std::string& why) {
    found.push_back(
        {.what = what, .why = why, .scenario = trial.program.name, .target = trial.target, .iterations = trial.iterations});
  };
  if (const auto strays = not_allowed(trial); !strays.empty() && trial.allowed.complete) {
    const std::string named = describe(trial.allowed.schema, trial.program, strays.front(), false);
    add(Finding::What::forbidden, named.empty() ? describe(trial.allowed.schema, trial.program, strays.front(), true) : named);
  }
  for (const TitledReport& report : titled_reports(trial.health)) add(Finding::What::health, report.title);
  if (!trial.crash.empty()) add(Finding::What::crash, trial.crash);
  if (!trial.lost.empty()) add(Finding::What::lost, trial.lost);
  if (!trial.hang.empty()) add(Finding::What::hang, trial.hang);
  return found;
}

}  // namespace faultline
