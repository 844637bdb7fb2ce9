#include "harness/run/trial.h"

#include <set>
#include <stdexcept>

namespace faultline {

std::vector<Outcome> not_allowed(const Trial& trial) {
  std::vector<Outcome> result;
  for (const auto& [outcome, tally] : trial.seen)
    if (!allowed_by(trial.allowed, outcome)) result.push_back(outcome);
  return result;
}

std::vector<Outcome> never_seen(const Trial& trial) {
  std::set<std::size_t> seen;
  for (const auto& [outcome, tally] : trial.seen)
    if (const auto index = allowed_by(trial.allowed, outcome)) seen.insert(*index);
  std::vector<Outcome> result;
  for (std::size_t i = 0; i < trial.allowed.outcomes.size(); ++i)
    if (!seen.contains(i)) result.push_back(trial.allowed.outcomes[i]);
  return result;
}

std::size_t allowed_seen(const Trial& trial) { return trial.allowed.outcomes.size() - never_seen(trial).size(); }

Verdict verdict(const Trial& trial) {
  const bool stray = !not_allowed(trial).empty();
  if (stray && trial.allowed.complete) return Verdict::forbidden;
  if (!trial.health.empty()) return Verdict::health;
  if (!trial.lost.empty()) return Verdict::lost;
  if (!trial.hang.empty()) return Verdict::hang;
  if (!trial.error.empty()) return Verdict::error;
  if (stray) return Verdict::inconclusive;
  if (!trial.skipped.empty()) return Verdict::skipped;
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
    case Verdict::health: return trial.health.front();
    case Verdict::lost: return "the machine was lost: " + trial.lost;
    case Verdict::hang: return trial.hang;
    case Verdict::error: return trial.error;
    case Verdict::skipped: return trial.skipped;
    case Verdict::inconclusive:
      if (!not_allowed(trial).empty()) return "the prediction is incomplete and does not hold what was seen";
      if (!trial.undecided.empty()) return trial.undecided;
      return trial.slow ? "every iteration was too slow to tell a hang" : "no iteration was run";
  }
  return "";
}

std::optional<ClaimCount> count(const Claim& claim, const Trial& trial) {
  ClaimCount result;
  try {
    for (const auto& [outcome, tally] : trial.seen)
      (holds(claim.condition, trial.allowed.schema, outcome) ? result.holds : result.fails) += tally.count;
  } catch (const std::invalid_argument&) {
    return std::nullopt;  // about something that this target cannot see
  }
  return result;
}

}  // namespace faultline
