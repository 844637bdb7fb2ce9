#include "harness/run/run_test.h"

namespace faultline {
namespace {

// Gives each of its scenarios some slices, one after another.
struct List : WorkSource {
  List(const std::vector<std::string>& names, int slices) : slices(slices) {
    for (const std::string& name : names) left.push_back(std::make_shared<const Scenario>(scenario(name)));
  }
  std::optional<Work> next(const std::string& target, const Capabilities& can) override {
    asked.push_back(target);
    identity = can.sight.identity;
    if (left.empty()) return std::nullopt;
    return Work{.scenario = left.front(), .seconds = 5, .iterations = 50, .seed = 1000 + asked.size()};
  }
  bool told(const Trial& trial, bool closed) override {
    verdicts.push_back(trial.program.name + " " + verdict_text(verdict(trial)) + (closed ? " closed" : ""));
    iterations = trial.iterations;
    if (!closed && ++given % slices != 0) return false;
    left.erase(left.begin());
    return true;
  }
  std::vector<std::shared_ptr<const Scenario>> left;
  int slices, given = 0;
  bool identity = false;
  std::uint64_t iterations = 0;
  std::vector<std::string> asked, verdicts;
};

class RunBySourceTest : public RunTest {
 protected:
  RunResult go(WorkSource& source, const std::vector<std::string>& words) {
    words_ = words;
    options_.seconds = 60;
    Journal journal(path());
    return run(source, options_, predictor_, journal, events_);
  }
};

TEST_F(RunBySourceTest, WhatItAsksForRunsSliceBySlice) {
  List list({"one", "two"}, 2);
  const RunResult result = go(list, {});
  EXPECT_EQ(list.verdicts, (std::vector<std::string>{"one agree", "one agree", "two agree", "two agree"}));
  EXPECT_EQ(list.iterations, 100u);
  EXPECT_TRUE(list.identity);
  EXPECT_TRUE(result.trials.empty());  // agreed, and forgotten
  EXPECT_EQ(result.exit_code(), exits::agree);
  ASSERT_EQ(records("slice").size(), 4u);
  EXPECT_EQ(records("slice")[1]["seed"], 1002);
  EXPECT_EQ(told_, (std::vector<std::string>{"one", "two"}));
}

TEST_F(RunBySourceTest, AFindingIsKept) {
  List list({"one", "two", "three"}, 1);
  const RunResult result = go(list, {"--fault=two=forbidden"});
  ASSERT_EQ(result.trials.size(), 1u);
  EXPECT_EQ(result.trials[0].program.name, "two");
  EXPECT_EQ(result.exit_code(), exits::found);
}

TEST_F(RunBySourceTest, AfterAReportOfTheKernelItGoesOnWithAnotherMachine) {
  options_.targets = {{"lab", "host"}};
  List list({"one", "two", "three"}, 2);
  go(list, {"--fault=one=health"});
  EXPECT_EQ(list.verdicts.front(), "one health closed");
  EXPECT_EQ(list.verdicts.back(), "three agree");
  EXPECT_EQ(machines_, 2);
}

TEST_F(RunBySourceTest, ATargetWithNothingToRunDecidesNothing) {
  List list({}, 1);
  const RunResult result = go(list, {});
  EXPECT_EQ(result.failures.at("host"), "no scenario runs there");
  EXPECT_EQ(result.exit_code(), exits::undecided);
}

TEST_F(RunBySourceTest, ATargetThatIsNotThereEndsNotTheOthers) {
  options_.targets = {{"", "host"}, {"lab", "dmirror"}};
  List list({"one"}, 1);
  const RunResult result = go(list, {"--targets", "host"});
  EXPECT_EQ(list.verdicts.size(), 1u);
  EXPECT_EQ(result.failures.size(), 1u);
  EXPECT_NE(result.failures.at("lab:dmirror").find("load test_hmm"), std::string::npos);
}

}  // namespace
}  // namespace faultline
