#include "kernels_ref/protocol/bugs/historic_bug.h"

namespace faultline::ref::protocol {

namespace {

struct Examined {
  Report report;
  bool livelock = false;
};

Examined examined(const HistoricBug& bug, const Variants& variants, Limits limits) {
  const Protocol protocol = bug.protocol();
  limits.workers = 1;  // so that the count of executions is always the same
  Examined result{examine(protocol, variants, limits)};
  if (bug.expected == Finding::livelock) {
    const LivelockFound found = livelock(protocol, variants);
    result.livelock = found.livelock.has_value();
    result.report.complete = result.report.complete && found.complete;
  }
  return result;
}

// What was found: the finding that was expected, or another one.
std::string found_by(const HistoricBug& bug, const Report& report) {
  Finding finding = bug.expected;
  for (int f = static_cast<int>(Finding::count_) - 1; !report.has(bug.expected) && f >= 0; --f)
    if (report.has(static_cast<Finding>(f))) finding = static_cast<Finding>(f);
  const std::string text = finding_text(finding);
  return finding == Finding::order_cycle ? text + ": " + circle_text(report.circle) : text;
}

}  // namespace

BugScore score(const HistoricBug& bug, const Limits& limits) {
  const Examined healthy = examined(bug, {}, limits), broken = examined(bug, with({bug.variant}), limits);
  BugScore result{.states = broken.report.states, .complete = healthy.report.complete && broken.report.complete};
  result.healthy_clean = healthy.report.findings == 0 && !healthy.livelock;
  result.caught = broken.livelock || broken.report.findings != 0;
  if (broken.livelock) {
    result.by = finding_text(Finding::livelock);
  } else if (result.caught) {
    result.by = found_by(bug, broken.report);
    result.executions = broken.report.ends_until_found;
  }
  return result;
}

}  // namespace faultline::ref::protocol
