#include "harness/run/verdict.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/run/trial.h"

namespace faultline {
namespace {

// One device load (with its fault observable), one CPU load and the identity of a page.
constexpr const char* text = R"(scenario three
device d: recoverable
process P
  a: 1 pages anon rw = 0
  fork C
thread P.gpu on d
  r0 = load a[0]
process C
  r1 = load a[0]
observe same(P:a[0], C:a[0])
)";

Program program() { return parse(text, "three.scn"); }

Allowed allowed_of(const Program& program, std::vector<Outcome> outcomes, bool complete = true) {
  Allowed allowed;
  allowed.schema = schema(program);
  std::sort(outcomes.begin(), outcomes.end());
  allowed.outcomes = std::move(outcomes);
  allowed.complete = complete;
  return allowed;
}

TEST(Project, DropsWhatTheTargetCannotSeeAndMergesTheRest) {
  const Program p = program();
  std::vector<std::string> keys;
  for (const Observable& observable : schema(p)) keys.push_back(observable.key);
  ASSERT_EQ(keys, (std::vector<std::string>{"P:#1", "P.gpu:r0", "P.gpu:r0.faults", "C:r1", "same(P:a[0],C:a[0])"}));
  const Allowed whole = allowed_of(p, {{"ok", "0", "hit", "0", "same"},
                                       {"ok", "0", "fault", "0", "same"},
                                       {"ok", "0", "fault", "0", "different"},
                                       {"ok", "0", "fault", "1", "same"}});
  EXPECT_EQ(project(whole, p, {true, true}).outcomes, whole.outcomes);
  EXPECT_EQ(project(whole, p, {false, true}).outcomes,
            (std::vector<Outcome>{{"ok", "0", "0", "different"}, {"ok", "0", "0", "same"}, {"ok", "0", "1", "same"}}));
  EXPECT_EQ(project(whole, p, {true, false}).outcomes,
            (std::vector<Outcome>{{"ok", "0", "fault", "0"}, {"ok", "0", "fault", "1"}, {"ok", "0", "hit", "0"}}));
  const Allowed values = project(whole, p, {false, false});
  EXPECT_EQ(values.outcomes, (std::vector<Outcome>{{"ok", "0", "0"}, {"ok", "0", "1"}}));
  EXPECT_EQ(values.schema.size(), 3u);
}

// A driver that reports success for every migration, as nouveau does.
TEST(Project, MigrationsWithoutErrorsAreOkAndMayLeavePages) {
  const Program p = parse(
      "scenario m\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw = 0\nthread P.t\n"
      "  migrate a to d via d\n  munmap a\nobserve where(P:a[0])\n",
      "m.scn");
  const Allowed whole = allowed_of(p, {{"ENOENT", "ok", "system"}, {"ok", "ok", "device"}, {"EBADF", "ENOMEM", "none"}});
  const Sight sight{.migration_errors = false};
  const Allowed seen = project(whole, p, sight);
  EXPECT_EQ(seen.outcomes, (std::vector<Outcome>{{"EBADF", "ENOMEM", "none"}, {"ok", "ok", "device"}, {"ok", "ok", "system"}}));
  EXPECT_EQ(project(whole, p, {}).outcomes, whole.outcomes);
  const Allowed moved = allowed_of(p, {{"ok", "ok", "device"}}), stayed = allowed_of(p, {{"ok", "ok", "system"}});
  EXPECT_TRUE(allowed_by(project(moved, p, sight), {"ok", "ok", "system"}));
  EXPECT_FALSE(allowed_by(project(moved, p, sight), {"ok", "ok", "none"}));
  EXPECT_FALSE(allowed_by(project(stayed, p, sight), {"ok", "ok", "device"}));
  EXPECT_FALSE(allowed_by(moved, {"ok", "ok", "system"}));
}

// A gap in one observable does not affect the others.
TEST(Project, AGapHidesNoOtherObservable) {
  const Program p = parse(
      "scenario e\ndevice d: unmap-and-retry\nprocess P\n  a: 1 page anon rw = 5\nthread P.t\n"
      "  migrate a to d via d\n  r0 = load a[0]\nobserve events(P:a[0]) where(P:a[0])\n",
      "e.scn");
  Allowed whole = allowed_of(p, {{"ok", "5", "DUS", "system"}});
  whole.schema[2].weather = Observable::Weather::unmaps;
  const Sight sight{.migration_errors = false};
  const Allowed allowed = project(whole, p, sight);
  EXPECT_TRUE(allowed_by(allowed, {"ok", "5", "DUS", "system"}));
  EXPECT_TRUE(allowed_by(allowed, {"ok", "5", "DUUS", "system"}));  // the projection keeps the weather
  EXPECT_TRUE(allowed_by(allowed, {"ok", "5", "gap (why)", "system"}));
  EXPECT_FALSE(allowed_by(allowed, {"ok", "0", "gap (why)", "system"}));
  EXPECT_FALSE(allowed_by(allowed, {"ok", "5", "gap (why)", "device"}));
  EXPECT_FALSE(allowed_by(allowed, {"ok", "5", "DU", "system"}));
  EXPECT_FALSE(allowed_by(allowed, {"ok", "5", "DS", "system"}));
  EXPECT_EQ(project(whole, p, {.events = false}).outcomes, (std::vector<Outcome>{{"ok", "5", "system"}}));
}

TEST(Trial, GapsCountForNoClaim) {
  Trial trial;
  trial.program = parse(
      "scenario e\ndevice d: unmap-and-retry\nprocess P\n  a: 1 page anon rw = 5\nthread P.t\n"
      "  migrate a to d via d\nobserve events(P:a[0]) P:a[0]\nalways events(P:a[0]) = \"D\"\n"
      "always P:a[0] = 5\n",
      "e.scn");
  trial.allowed = allowed_of(trial.program, {{"ok", "D", "5"}, {"ok", "DUS", "5"}});
  trial.seen[{"ok", "D", "5"}].count = 7;
  trial.seen[{"ok", "gap (why)", "5"}].count = 2;
  trial.seen[{"ok", "gap (other)", "5"}].count = 1;
  trial.iterations = 10;
  EXPECT_EQ(verdict(trial), Verdict::agree);
  EXPECT_EQ(count(trial.program.claims[0], trial)->holds, 7u);
  EXPECT_EQ(count(trial.program.claims[0], trial)->fails, 0u);
  EXPECT_EQ(count(trial.program.claims[1], trial)->holds, 10u);
  EXPECT_EQ(gaps(trial).at({"events(P:a[0])", "gap (why)"}), 2u);
  EXPECT_EQ(gaps(trial).size(), 2u);
  trial.seen.erase({"ok", "D", "5"});
  EXPECT_EQ(allowed_seen(trial), 0u);
  trial.seen[{"ok", "gap (why)", "0"}].count = 1;
  EXPECT_EQ(verdict(trial), Verdict::forbidden);
}

TEST(AllowedBy, TakesTheSameOneElseOneAbove) {
  const Allowed allowed = allowed_of(program(), {{"ok", "0", "hit", "0", "same"}});
  EXPECT_EQ(allowed_by(allowed, {"ok", "0", "hit", "0", "same"}), 0u);
  EXPECT_EQ(allowed_by(allowed, {"ok", "0", "fault", "0", "same"}), 0u);  // weather
  EXPECT_EQ(allowed_by(allowed, {"ok", "1", "hit", "0", "same"}), std::nullopt);
  EXPECT_EQ(allowed_by(allowed, {"ok", "0"}), std::nullopt);
}

TEST(NearestAllowed, CountsObservables) {
  const Allowed allowed = allowed_of(program(), {{"ok", "0", "fault", "0", "same"}, {"ok", "1", "fault", "1", "different"}});
  const auto near = nearest_allowed(allowed, {"ok", "1", "fault", "alien", "different"});
  ASSERT_TRUE(near);
  EXPECT_EQ(near->outcome, 1u);
  EXPECT_EQ(near->differs, (std::vector<std::size_t>{3}));
  EXPECT_FALSE(nearest_allowed(allowed_of(program(), {}), {"ok"}));
}

TEST(WhatIsForbidden, HoldsInNoAllowedOutcome) {
  const Program p = program();
  const Allowed allowed = allowed_of(p, {{"ok", "0", "fault", "0", "same"}, {"ok", "1", "fault", "1", "different"}});
  const auto text = [&](const Outcome& seen) {
    const std::optional<Condition> forbidden = what_is_forbidden(allowed, seen);
    if (!forbidden) return std::string();
    EXPECT_TRUE(holds(*forbidden, allowed.schema, seen));
    EXPECT_EQ(check_claim({Claim::Kind::never, *forbidden, {}}, allowed).state, ClaimState::holds);
    return print(*forbidden);
  };
  EXPECT_EQ(text({"ok", "1", "fault", "alien", "different"}), "C:r1 = alien");
  EXPECT_EQ(text({"ok", "0", "fault", "1", "same"}), "P.gpu:r0 = 0 and C:r1 = 1") << "each by itself is allowed";
  EXPECT_EQ(text({"ok", "0", "fault", "0", "different"}), "C:r1 = 0 and same(P:a[0],C:a[0]) = different");
  EXPECT_EQ(text({"ok", "0", "hit", "0", "same"}), "P.gpu:r0.faults = hit");
  EXPECT_EQ(text({"ok", "1", "fault", "1", "different"}), "") << "an allowed one";
  EXPECT_FALSE(what_is_forbidden(allowed_of(p, allowed.outcomes, false), {"ok", "1", "fault", "alien", "different"}));
  EXPECT_FALSE(what_is_forbidden(allowed_of(p, {}), {"ok", "1", "fault", "alien", "different"}));
}

TEST(Judge, IncompletePredictionsForbidNothing) {
  const Outcome good{"ok", "0", "fault", "0", "same"};
  const Outcome bad{"ok", "9", "fault", "0", "same"};
  EXPECT_EQ(judge(allowed_of(program(), {good}), std::vector<Outcome>{good}), Verdict::agree);
  EXPECT_EQ(judge(allowed_of(program(), {good}), std::vector<Outcome>{good, bad}), Verdict::forbidden);
  EXPECT_EQ(judge(allowed_of(program(), {good}, false), std::vector<Outcome>{good}), Verdict::agree);
  EXPECT_EQ(judge(allowed_of(program(), {good}, false), std::vector<Outcome>{bad}), Verdict::inconclusive);
  EXPECT_EQ(judge(allowed_of(program(), {good}), {}), Verdict::inconclusive);
}

TEST(CheckClaim, Table) {
  const Program p = program();
  const Outcome zero{"ok", "0", "fault", "0", "same"};
  const Outcome one{"ok", "1", "fault", "0", "same"};
  const auto claim = [](Claim::Kind kind, const std::string& value) {
    Claim result;
    result.kind = kind;
    result.condition.key = "P.gpu:r0";
    result.condition.value = value;
    return result;
  };
  using Kind = Claim::Kind;
  struct Row {
    Kind kind;
    const char* value;
    std::vector<Outcome> outcomes;
    ClaimState complete;
    ClaimState incomplete;
    std::optional<Outcome> counterexample;
  };
  const std::vector<Row> rows = {
      {Kind::never, "1", {zero}, ClaimState::holds, ClaimState::undecided, {}},
      {Kind::never, "1", {zero, one}, ClaimState::refuted, ClaimState::refuted, one},
      {Kind::always, "0", {zero}, ClaimState::holds, ClaimState::undecided, {}},
      {Kind::always, "0", {zero, one}, ClaimState::refuted, ClaimState::refuted, one},
      {Kind::sometimes, "1", {zero, one}, ClaimState::holds, ClaimState::holds, {}},
      {Kind::sometimes, "1", {zero}, ClaimState::refuted, ClaimState::undecided, {}},
      {Kind::never, "1", {}, ClaimState::undecided, ClaimState::undecided, {}},
      {Kind::always, "0", {}, ClaimState::undecided, ClaimState::undecided, {}},
      {Kind::sometimes, "1", {}, ClaimState::undecided, ClaimState::undecided, {}},
  };
  for (const Row& row : rows) {
    const ClaimCheck whole = check_claim(claim(row.kind, row.value), allowed_of(p, row.outcomes));
    EXPECT_EQ(whole.state, row.complete);
    EXPECT_EQ(whole.counterexample, row.counterexample);
    EXPECT_EQ(check_claim(claim(row.kind, row.value), allowed_of(p, row.outcomes, false)).state, row.incomplete);
  }
}

TEST(ExitCode, Table) {
  using V = Verdict;
  struct Row {
    std::map<std::string, std::vector<V>> verdicts;
    int code;
  };
  const std::vector<Row> rows = {
      {{}, 3},
      {{{"host", {}}}, 3},
      {{{"host", {V::agree}}}, 0},
      {{{"host", {V::agree, V::skipped}}}, 0},
      {{{"host", {V::skipped, V::skipped}}}, 3},  // a skip is not a pass
      {{{"host", {V::agree}}, {"lab:dmirror", {V::skipped}}}, 3},
      {{{"host", {V::agree, V::inconclusive}}}, 3},
      {{{"host", {V::agree, V::error}}}, 4},
      {{{"host", {V::error, V::inconclusive}}}, 4},
      {{{"host", {V::error, V::forbidden}}}, 1},
      {{{"host", {V::agree}}, {"lab:dmirror", {V::lost}}}, 1},
      {{{"host", {V::health}}}, 1},
      {{{"host", {V::hang}}}, 1},
      {{{"host", {V::inconclusive}}, {"lab:dmirror", {V::forbidden}}}, 1},
  };
  for (const Row& row : rows) EXPECT_EQ(exit_code(row.verdicts), row.code);
}

TEST(TrialVerdict, TheOutcomeComesFirst) {
  Trial trial;
  trial.program = program();
  const Outcome good{"ok", "0", "fault", "0", "same"};
  trial.allowed = allowed_of(trial.program, {good});
  EXPECT_EQ(verdict(trial), Verdict::inconclusive);
  EXPECT_EQ(reason(trial), "no iteration was run");
  trial.seen[good].count = 5;
  trial.iterations = 5;
  EXPECT_EQ(verdict(trial), Verdict::agree);
  trial.error = "fork failed";
  EXPECT_EQ(verdict(trial), Verdict::error);
  trial.hang = "iteration 3 hangs";
  EXPECT_EQ(verdict(trial), Verdict::hang);
  trial.lost = "exit status 1";
  EXPECT_EQ(verdict(trial), Verdict::lost);
  EXPECT_EQ(reason(trial), "the machine was lost: exit status 1");
  trial.crash = "iteration 3: the driver took SIGSEGV";
  EXPECT_EQ(verdict(trial), Verdict::health);
  EXPECT_EQ(reason(trial), "iteration 3: the driver took SIGSEGV");
  trial.health = {"BUG: one", "two"};
  EXPECT_EQ(verdict(trial), Verdict::health);
  EXPECT_EQ(reason(trial), "BUG: one");
  trial.seen[{"ok", "9", "fault", "0", "same"}].count = 1;
  EXPECT_EQ(verdict(trial), Verdict::forbidden);
  trial.allowed.complete = false;
  EXPECT_EQ(verdict(trial), Verdict::health);
}

}  // namespace
}  // namespace faultline
