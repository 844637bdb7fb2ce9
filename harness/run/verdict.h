// Compares the observed outcomes of a scenario with the allowed ones, and gives the verdict on a whole run.
//
// Pure functions over values. Only what a target can observe is compared: project() first removes the rest from the allowed
// set, so that no other function needs to know the target.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/allowed.h"
#include "harness/outcome.h"
#include "harness/program.h"

namespace faultline {

enum class Verdict {
  agree,         // every outcome seen is allowed, and at least one was seen
  forbidden,     // an outcome that is not allowed was seen
  health,        // the kernel reported that something is wrong, or a driver crashed
  hang,          // an iteration hung
  lost,          // the machine died or went silent
  skipped,       // the target cannot run it, or it would run into a known bug
  inconclusive,  // an incomplete prediction lacks an outcome that was seen, or there is no evidence, such as no iteration
  error,         // the bench itself failed
};
inline constexpr Verdict all_verdicts[] = {Verdict::agree, Verdict::forbidden, Verdict::health,       Verdict::hang,
                                           Verdict::lost,  Verdict::skipped,   Verdict::inconclusive, Verdict::error};

const char* verdict_text(Verdict verdict);

// The allowed outcomes as a target with this sight would see them: sorted, without duplicates. `allowed` must have the full
// schema of the program.
Allowed project(const Allowed& allowed, const Program& program, const Sight& sight);

// The allowed outcome that makes `seen` allowed: an equal one, otherwise the nearest one that `seen` is at or below. Empty if
// the prediction does not allow `seen`.
std::optional<std::size_t> allowed_by(const Allowed& allowed, const Outcome& seen);

// The allowed outcome that differs from `seen` in the fewest observables; the first one, if there are several.
struct Nearest {
  std::size_t outcome = 0;           // index into Allowed::outcomes
  std::vector<std::size_t> differs;  // indices into the schema
};
std::optional<Nearest> nearest_allowed(const Allowed& allowed, const Outcome& seen);

// What of a forbidden outcome is forbidden: "A = x and B = y", which holds in it and in no allowed outcome. No part of it can be left out. Prefers
// results and values over what fewer targets tell. Nothing if an allowed outcome equals `seen`, or the prediction is incomplete.
std::optional<Condition> what_is_forbidden(const Allowed& allowed, const Outcome& seen);

// The verdict on the outcomes of one scenario on one target. Inconclusive if there are none.
Verdict judge(const Allowed& allowed, std::span<const Outcome> seen);

// Checks a claim against the allowed set. An incomplete prediction can refute `never` and `always`, and confirm `sometimes`;
// otherwise the claim is undecided. If known bugs leave no outcome at all, every claim is undecided.
enum class ClaimState { holds, refuted, undecided };
struct ClaimCheck {
  ClaimState state = ClaimState::undecided;
  std::optional<Outcome> counterexample;  // `never` and `always`, when refuted
};
ClaimCheck check_claim(const Claim& claim, const Allowed& allowed);

// Exit codes of the whole run. The verdicts are grouped by target as the user named it. The run is no success if nothing
// could be decided on one of the targets.
namespace exits {
inline constexpr int agree = 0;
inline constexpr int found = 1;
inline constexpr int usage = 2;
inline constexpr int undecided = 3;
inline constexpr int bench = 4;
// For `git bisect run`, which takes every other code from 1 to 127 for a bad commit.
inline constexpr int bisect_skip = 125;   // this commit cannot be tested
inline constexpr int bisect_abort = 128;  // no commit can be tested: ends the bisection
}  // namespace exits
int exit_code(const std::map<std::string, std::vector<Verdict>>& by_target);

// The exit code for `git bisect run`. Findings count even if the run was interrupted later.
int bisect_code(int code, bool interrupted = false);

// "1: something was found"
const char* exit_reason(int code);

}  // namespace faultline
