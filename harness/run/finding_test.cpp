// What a run finds is told when a batch, a report or a death shows it, and not at the end of the slice.
#include "harness/run/finding.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "harness/run/run_test.h"

namespace faultline {
namespace {

class FindingTest : public RunTest {
 protected:
  FindingTest() {
    events_.finding = [this](const Finding& finding, const std::string& again) {
      found_.push_back(std::string(finding_text(finding.what)) + ": " + finding.scenario + " on " + finding.target + ": " +
                       finding.why + "; " + again);
    };
    events_.again = [](const Trial& trial) { return "run " + trial.program.name; };
  }
  std::vector<std::string> found_;
};

// This agent ends the slice only when it is asked to: the run would not end if the finding were told after it.
TEST_F(FindingTest, IsToldWithTheBatchAndMayEndTheRun) {
  options_.stop_at_first = true;
  const RunResult result = go({"--fault=one=endless", "--outcome", R"(["alien"])"});
  EXPECT_EQ(found_, std::vector<std::string>{"forbidden: one on host: P:r0=alien; run one"});
  EXPECT_TRUE(result.stopped_at_first);
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(verdict(result.trials[0]), Verdict::forbidden);
  EXPECT_FALSE(result.trials[1].started);
  EXPECT_EQ(result.exit_code(), 1);
  const std::vector<json> told = records("finding");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0]["scenario"], "one");
  EXPECT_EQ(told[0]["target"], "host");
  EXPECT_EQ(told[0]["what"], "forbidden");
  EXPECT_EQ(told[0]["why"], "P:r0=alien");
  EXPECT_EQ(told[0]["iterations"], 100);
  EXPECT_EQ(told[0]["again"], "run one");
  EXPECT_EQ(told[0]["seconds"], result.first_finding->seconds);
  EXPECT_EQ(records("end").at(0)["first_finding_seconds"], result.first_finding->seconds);
  EXPECT_EQ(records("verdict").size(), 1u);
}

TEST_F(FindingTest, WithoutTheOptionTheRunGoesOn) {
  const RunResult result = go({"--fault=one=forbidden", "--fault=two=health"}, {"one", "two", "three"});
  EXPECT_EQ(found_, (std::vector<std::string>{"forbidden: one on host: P:r0=alien; run one",
                                              "health: two on host: WARNING at mm/hmm.c:1; run two"}));
  EXPECT_FALSE(result.stopped_at_first);
  EXPECT_EQ(verdict(result.trials[2]), Verdict::agree);
  EXPECT_EQ(result.first_finding->scenario, "one");
}

struct Kind {
  const char* fault;
  std::vector<std::string> found;  // what, in the order in which it is told
};
class FindingKind : public FindingTest, public testing::WithParamInterface<Kind> {};
TEST_P(FindingKind, IsToldOnce) {
  options_.targets = {{"lab", "dmirror"}};
  const RunResult result = go({std::string("--fault=one=") + GetParam().fault});
  std::vector<std::string> what;
  for (const json& record : records("finding")) what.push_back(record["what"]);
  EXPECT_EQ(what, GetParam().found);
  EXPECT_EQ(result.first_finding.has_value(), !what.empty());
  EXPECT_EQ(records("end").at(0).contains("first_finding_seconds"), !what.empty());
}
INSTANTIATE_TEST_SUITE_P(Faults, FindingKind,
                         testing::Values(Kind{"forbidden", {"forbidden"}}, Kind{"health", {"health"}}, Kind{"crash", {"crash"}},
                                         Kind{"flood", {"health"}}, Kind{"hang", {"hang"}}, Kind{"twice", {"hang"}},
                                         Kind{"panic", {"lost"}}, Kind{"splat", {"health", "lost"}},
                                         // No finding.
                                         Kind{"calls", {}}, Kind{"slow", {}}, Kind{"once", {}}, Kind{"unready", {}},
                                         Kind{"error", {}}, Kind{"skip", {}}, Kind{"misfit", {}}),
                         [](const auto& row) { return std::string(row.param.fault); });

TEST_F(FindingTest, WhatAnIncompletePredictionLacksIsNone) {
  predictor_ = [](const Program& program, DeviceClass device_class, const auto& keep_going) {
    Allowed allowed = seven(program, device_class, keep_going);
    allowed.complete = false;
    return allowed;
  };
  options_.stop_at_first = true;
  const RunResult result = go({"--fault=one=forbidden"});
  EXPECT_TRUE(found_.empty());
  EXPECT_EQ(verdict(result.trials[0]), Verdict::inconclusive);
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_EQ(notes_, std::vector<std::string>{"one on host: an outcome that was not predicted"});
}

TEST_F(FindingTest, AKnownFindingIsNone) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--gpu=good", "--fault=one=known"}, {"one"});
  EXPECT_TRUE(found_.empty());
  EXPECT_FALSE(result.trials[0].known.empty());
}

// Each trial has it in its verdict.
TEST_F(FindingTest, TheSameReportOfAnotherTrialIsNotNew) {
  const RunResult result = go({"--fault=one=health", "--fault=two=health", "--fault=three=hung-task"}, {"one", "two", "three"});
  ASSERT_EQ(found_.size(), 3u);
  EXPECT_EQ(found_[0], "health: one on host: WARNING at mm/hmm.c:1; run one");
  EXPECT_EQ(found_[1].substr(0, 26), "health: three on host: INF");
  EXPECT_EQ(verdict(result.trials[1]), Verdict::health);
  const json again = records("verdict").at(1);
  EXPECT_EQ(again["reports"], json::parse(R"([{"title": "WARNING at mm/hmm.c:1", "count": 1}])"));
}

// Rounds over all trials: the first one is made whatever it takes.
class Spread : public RunTest {
 protected:
  std::vector<std::string> slices() {
    std::vector<std::string> names;
    for (const json& record : records("slice")) names.push_back(record["scenario"]);
    return names;
  }
};

TEST_F(Spread, ATimeThatIsTooShortGivesEachScenarioOneSlice) {
  options_.seconds = 0.001;
  const std::vector<std::string> names = {"a", "b", "c", "d", "e", "f", "g", "h"};
  const RunResult result = go({}, names);
  EXPECT_EQ(slices(), names);
  for (const Trial& trial : result.trials) EXPECT_GT(trial.iterations, 0u);
}

TEST_F(Spread, ATimeThatIsLongGivesEachSeveral) {
  options_.seconds = 3;
  const std::vector<std::string> names = {"a", "b"};
  go({}, names);
  const std::vector<std::string> all = slices();
  ASSERT_GE(all.size(), 4u);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], names[i % 2]);
}

}  // namespace
}  // namespace faultline
