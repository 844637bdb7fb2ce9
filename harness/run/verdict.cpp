#include "harness/run/verdict.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

namespace faultline {

const char* verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::agree: return "agree";
    case Verdict::forbidden: return "forbidden";
    case Verdict::health: return "health";
    case Verdict::hang: return "hang";
    case Verdict::lost: return "lost";
    case Verdict::skipped: return "skipped";
    case Verdict::inconclusive: return "inconclusive";
    case Verdict::error: return "error";
  }
  return "?";
}

namespace {

// What the target reports when `text` is the truth. EBADF stays, because it comes from the executor and not from the driver.
std::string told(const Program& program, const Observable& observable, const std::string& text, const Sight& sight) {
  if (sight.migration_errors || observable.kind != Observable::Kind::result || text == errno_text(EBADF)) return text;
  const Operation& operation = program.threads[observable.thread].statements[observable.statement].operation;
  return std::holds_alternative<op::Migrate>(operation) && text.starts_with('E') ? text_ok : text;
}

}  // namespace

Allowed project(const Allowed& allowed, const Program& program, const Sight& sight) {
  Allowed result = allowed;
  result.schema = schema(program, sight);
  std::vector<std::size_t> kept;
  std::size_t next = 0;
  // Both schemas have the same order, so one pass finds the observables to keep.
  for (Observable& observable : result.schema) {
    while (next < allowed.schema.size() &&
           (allowed.schema[next].kind != observable.kind || allowed.schema[next].key != observable.key))
      ++next;
    if (next == allowed.schema.size()) break;
    observable.weather = allowed.schema[next].weather;
    kept.push_back(next++);
  }
  std::set<Outcome> outcomes;
  for (const Outcome& outcome : allowed.outcomes) {
    Outcome seen;
    seen.reserve(kept.size());
    for (std::size_t index : kept) seen.push_back(told(program, allowed.schema[index], outcome.at(index), sight));
    outcomes.insert(std::move(seen));
  }
  result.outcomes.assign(outcomes.begin(), outcomes.end());
  return result;
}

namespace {

std::vector<std::size_t> differences(const Outcome& a, const Outcome& b) {
  std::vector<std::size_t> result;
  const std::size_t size = std::max(a.size(), b.size());
  for (std::size_t i = 0; i < size; ++i)
    if (i >= a.size() || i >= b.size() || a[i] != b[i]) result.push_back(i);
  return result;
}

}  // namespace

std::optional<std::size_t> allowed_by(const Allowed& allowed, const Outcome& seen) {
  if (seen.size() != allowed.schema.size()) return std::nullopt;
  const auto same = std::lower_bound(allowed.outcomes.begin(), allowed.outcomes.end(), seen);
  if (same != allowed.outcomes.end() && *same == seen) return same - allowed.outcomes.begin();
  std::optional<std::size_t> best;
  std::size_t fewest = 0;
  for (std::size_t i = 0; i < allowed.outcomes.size(); ++i) {
    if (!at_or_below(allowed.schema, seen, allowed.outcomes[i])) continue;
    const std::size_t count = differences(seen, allowed.outcomes[i]).size();
    if (!best || count < fewest) best = i, fewest = count;
  }
  return best;
}

std::optional<Nearest> nearest_allowed(const Allowed& allowed, const Outcome& seen) {
  std::optional<Nearest> best;
  for (std::size_t i = 0; i < allowed.outcomes.size(); ++i) {
    std::vector<std::size_t> differs = differences(seen, allowed.outcomes[i]);
    if (!best || differs.size() < best->differs.size()) best = Nearest{i, std::move(differs)};
  }
  return best;
}

std::optional<Condition> what_is_forbidden(const Allowed& allowed, const Outcome& seen) {
  if (!allowed.complete || allowed.outcomes.empty() || seen.size() != allowed.schema.size()) return std::nullopt;
  const auto is_allowed = [&](const std::vector<std::size_t>& parts) {
    return std::ranges::any_of(allowed.outcomes, [&](const Outcome& outcome) {
      return std::ranges::all_of(parts, [&](std::size_t i) { return outcome[i] == seen[i]; });
    });
  };
  // In this order they are tried to be left out.
  std::vector<std::size_t> parts;
  const auto add = [&](auto wanted) {
    for (std::size_t i = 0; i < seen.size(); ++i)
      if (wanted(i)) parts.push_back(i);
  };
  const auto told_by_all = [&](std::size_t i) {
    const Observable::Kind kind = allowed.schema[i].kind;
    return (kind == Observable::Kind::result || kind == Observable::Kind::value) && seen[i] != text_unknown &&
           seen[i] != text_not_reached;
  };
  add([&](std::size_t i) { return !told_by_all(i); });
  add(told_by_all);
  if (is_allowed(parts)) return std::nullopt;
  for (std::size_t i = 0; i < parts.size();) {
    std::vector<std::size_t> fewer = parts;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    if (is_allowed(fewer)) ++i;
    else parts = std::move(fewer);
  }
  std::ranges::sort(parts);
  Condition all{Condition::Kind::all, "", "", {}, {}};
  for (const std::size_t i : parts) all.parts.push_back({Condition::Kind::equal, allowed.schema[i].key, seen[i], {}, {}});
  return all.parts.size() == 1 ? all.parts.front() : all;
}

Verdict judge(const Allowed& allowed, std::span<const Outcome> seen) {
  const bool all =
      std::all_of(seen.begin(), seen.end(), [&](const Outcome& outcome) { return allowed_by(allowed, outcome).has_value(); });
  if (!all) return allowed.complete ? Verdict::forbidden : Verdict::inconclusive;
  return seen.empty() ? Verdict::inconclusive : Verdict::agree;
}

ClaimCheck check_claim(const Claim& claim, const Allowed& allowed) {
  // Every execution runs into a known bug, or there is no prediction. Without outcomes any claim would hold.
  if (allowed.outcomes.empty() || !allowed.undefined.empty() || !allowed.unknown.empty())
    return {ClaimState::undecided, std::nullopt};
  // An outcome that fulfils the condition refutes `never`. One that does not refutes `always`.
  if (claim.kind != Claim::Kind::sometimes) {
    const bool wanted = claim.kind == Claim::Kind::never;
    for (const Outcome& outcome : allowed.outcomes)
      if (holds(claim.condition, allowed.schema, outcome) == wanted) return {ClaimState::refuted, outcome};
    return {allowed.complete ? ClaimState::holds : ClaimState::undecided, std::nullopt};
  }
  for (const Outcome& outcome : allowed.outcomes)
    if (holds(claim.condition, allowed.schema, outcome)) return {ClaimState::holds, std::nullopt};
  return {allowed.complete ? ClaimState::refuted : ClaimState::undecided, std::nullopt};
}

int exit_code(const std::map<std::string, std::vector<Verdict>>& by_target) {
  bool found = false;
  bool bench = false;
  bool undecided = by_target.empty();
  for (const auto& [target, verdicts] : by_target) {
    bool decided = false;
    for (Verdict verdict : verdicts) {
      switch (verdict) {
        case Verdict::agree: decided = true; break;
        case Verdict::forbidden:
        case Verdict::health:
        case Verdict::hang:
        case Verdict::lost: found = decided = true; break;
        case Verdict::skipped: break;
        case Verdict::inconclusive: undecided = true; break;
        case Verdict::error: bench = true; break;
      }
    }
    if (!decided) undecided = true;
  }
  if (found) return exits::found;
  if (bench) return exits::bench;
  return undecided ? exits::undecided : exits::agree;
}

int bisect_code(int code, bool interrupted) {
  if (code == exits::found) return code;
  if (interrupted || code == exits::usage) return exits::bisect_abort;
  return code == exits::undecided || code == exits::bench ? exits::bisect_skip : code;
}

const char* exit_reason(int code) {
  switch (code) {
    case exits::agree: return "0: all agree";
    case exits::found: return "1: something was found";
    case exits::usage: return "2: bad usage or input";
    case exits::undecided: return "3: nothing could be decided, or not everything";
    case exits::bench: return "4: the bench itself failed";
    case exits::bisect_skip: return "125: could not be tested (--bisect)";
    case exits::bisect_abort: return "128: was interrupted, which ends the bisection (--bisect)";
  }
  return "?";
}

}  // namespace faultline
