#include "harness/run/trial.h"

#include <algorithm>
#include <set>
#include <span>
#include <stdexcept>

#include "harness/run/report_title.h"

namespace faultline {
namespace {

bool has_gap(std::span<const Observable> schema, const Outcome& outcome) {
  for (std::size_t i = 0; i < schema.size(); ++i)
    if (is_gap(schema[i], outcome[i])) return true;
  return false;
}

// Whether the outcome has all observables that the condition names, without gaps.
bool is_told(const Condition& condition, std::span<const Observable> schema, const Outcome& outcome) {
  for (std::size_t i = 0; i < schema.size(); ++i)
    if (schema[i].key == condition.key && is_gap(schema[i], outcome[i])) return false;
  return std::ranges::all_of(condition.parts, [&](const Condition& part) { return is_told(part, schema, outcome); });
}

// "WARNING in f (3 times), INFO: task hung in g"
std::string titles(Lines health) {
  std::string text;
  for (const TitledReport& report : titled_reports(health)) {
    text += (text.empty() ? "" : ", ") + report.title;
    if (report.count > 1) text += " (" + std::to_string(report.count) + " times)";
  }
  return text;
}

// Whether known findings have ended each machine before an iteration had ended.
bool never_lived(const Trial& trial) { return trial.iterations == 0 && trial.machines_lost > 0 && !trial.known.empty(); }

}  // namespace

std::vector<Outcome> not_allowed(const Trial& trial) {
  std::vector<Outcome> result;
  for (const auto& [outcome, tally] : trial.seen)
    if (!allowed_by(trial.allowed, outcome)) result.push_back(outcome);
  return result;
}

std::vector<Outcome> never_seen(const Trial& trial) {
  std::set<std::size_t> seen;
  for (const auto& [outcome, tally] : trial.seen) {
    const auto index = allowed_by(trial.allowed, outcome);
    if (index && !has_gap(trial.allowed.schema, outcome)) seen.insert(*index);
  }
  std::vector<Outcome> result;
  for (std::size_t i = 0; i < trial.allowed.outcomes.size(); ++i)
    if (!seen.contains(i)) result.push_back(trial.allowed.outcomes[i]);
  return result;
}

std::size_t allowed_seen(const Trial& trial) { return trial.allowed.outcomes.size() - never_seen(trial).size(); }

Verdict verdict(const Trial& trial) {
  const bool stray = !not_allowed(trial).empty();
  if (stray && trial.allowed.complete) return Verdict::forbidden;
  if (!trial.health.empty() || !trial.crash.empty()) return Verdict::health;
  if (!trial.lost.empty()) return Verdict::lost;
  if (!trial.hang.empty()) return Verdict::hang;
  if (!trial.error.empty()) return Verdict::error;
  if (stray) return Verdict::inconclusive;
  if (!trial.skipped.empty() || never_lived(trial)) return Verdict::skipped;
  if (!trial.undecided.empty() || trial.iterations == 0) return Verdict::inconclusive;
  return Verdict::agree;
}

std::string reason(const Trial& trial) {
  switch (verdict(trial)) {
    case Verdict::agree: return "";
    case Verdict::forbidden: {
      const std::size_t count = not_allowed(trial).size();
      return count == 1 ? "1 outcome is not allowed" : std::to_string(count) + " outcomes are not allowed";
    }
    case Verdict::health: return trial.health.empty() ? trial.crash : titles(trial.health);
    case Verdict::lost: return "the machine was lost: " + trial.lost;
    case Verdict::hang: return trial.hang;
    case Verdict::error: return trial.error;
    case Verdict::skipped:
      if (!trial.skipped.empty()) return trial.skipped;
      return "the machine died of a known finding before an iteration had ended: " + *trial.known.rbegin();
    case Verdict::inconclusive:
      if (!not_allowed(trial).empty()) return "the prediction is incomplete and does not hold what was seen";
      if (!trial.undecided.empty()) return trial.undecided;
      if (trial.slow)
        return "every iteration was too slow to tell a hang" + (trial.slow_why.empty() ? "" : ": " + trial.slow_why);
      return "no iteration was run";
  }
  return "";
}

std::map<std::pair<std::string, std::string>, std::uint64_t> gaps(const Trial& trial) {
  std::map<std::pair<std::string, std::string>, std::uint64_t> result;
  for (const auto& [outcome, tally] : trial.seen)
    for (std::size_t i = 0; i < trial.allowed.schema.size(); ++i)
      if (is_gap(trial.allowed.schema[i], outcome[i])) result[{trial.allowed.schema[i].key, outcome[i]}] += tally.count;
  return result;
}

std::optional<ClaimCount> count(const Claim& claim, const Trial& trial) {
  ClaimCount result;
  try {
    for (const auto& [outcome, tally] : trial.seen)
      if (is_told(claim.condition, trial.allowed.schema, outcome))
        (holds(claim.condition, trial.allowed.schema, outcome) ? result.holds : result.fails) += tally.count;
  } catch (const std::invalid_argument&) {
    return std::nullopt;  // the condition is about something that this target cannot see
  }
  return result;
}

}  // namespace faultline
