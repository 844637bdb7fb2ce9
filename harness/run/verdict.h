// What a scenario's observed outcomes mean beside its allowed ones, and what that makes of a whole run.
//
// Pure functions over values. Only what a target can observe is compared: project() drops the rest of
// the allowed set first, so that nothing here knows a target.
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
  forbidden,     // an outcome that is not allowed
  health,        // the kernel said that something is wrong, or a driver crashed
  hang,          // an iteration stopped for good
  lost,          // the machine died or went silent
  skipped,       // the target cannot run it, or it runs into a known bug there
  inconclusive,  // an outcome that an incomplete prediction does not hold, or nothing was run
  error,         // the bench itself
};
inline constexpr Verdict all_verdicts[] = {Verdict::agree, Verdict::forbidden, Verdict::health,       Verdict::hang,
                                           Verdict::lost,  Verdict::skipped,   Verdict::inconclusive, Verdict::error};

const char* verdict_text(Verdict verdict);

// The allowed outcomes as a target with this sight would see them: sorted, each once. `allowed` has the
// whole schema of the program.
Allowed project(const Allowed& allowed, const Program& program, const Sight& sight);

// The allowed outcome that makes `seen` allowed: the same one, else one that `seen` is at or below (the
// nearest of those). Empty: not allowed, as far as the prediction goes.
std::optional<std::size_t> allowed_by(const Allowed& allowed, const Outcome& seen);

// The allowed outcome that differs from `seen` in the fewest observables (the first of those).
struct Nearest {
  std::size_t outcome = 0;           // index into Allowed::outcomes
  std::vector<std::size_t> differs;  // indices into the schema
};
std::optional<Nearest> nearest_allowed(const Allowed& allowed, const Outcome& seen);

// Verdict over the outcomes of one scenario on one target; no outcome at all is inconclusive.
Verdict judge(const Allowed& allowed, std::span<const Outcome> seen);

// A claim against the allowed set. An incomplete prediction can refute `never` and `always` by what it
// has found, and confirm `sometimes`; the rest stays undecided. So does every claim where known bugs leave
// no outcome at all.
enum class ClaimState { holds, refuted, undecided };
struct ClaimCheck {
  ClaimState state = ClaimState::undecided;
  std::optional<Outcome> counterexample;  // `never` and `always`, when refuted
};
ClaimCheck check_claim(const Claim& claim, const Allowed& allowed);

// Exit codes of the whole run. The verdicts are given by target as it was asked for: a target on which
// nothing at all could be decided is never a success.
namespace exits {
inline constexpr int agree = 0;
inline constexpr int found = 1;
inline constexpr int usage = 2;
inline constexpr int undecided = 3;
inline constexpr int bench = 4;
// To `git bisect run` every other code from 1 to 127 means bad.
inline constexpr int bisect_skip = 125;   // this commit cannot be tested
inline constexpr int bisect_abort = 128;  // nor can any other: the bisection ends
}  // namespace exits
int exit_code(const std::map<std::string, std::vector<Verdict>>& by_target);

// The same for `git bisect run`. What was found before an interrupt is found.
int bisect_code(int code, bool interrupted = false);

// "1: something was found"
const char* exit_reason(int code);

}  // namespace faultline
