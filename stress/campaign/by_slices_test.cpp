#include "stress/campaign/by_slices.h"

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
    return Work{.scenario = left.front(), .seconds = 5, .iterations = 500, .seed = 1000 + asked.size()};
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

class BySlicesTest : public RunTest {
 protected:
  RunResult go(WorkSource& source, const std::vector<std::string>& words) {
    words_ = words;
    options_.seconds = 60;
    Journal journal(path());
    return run_by_slices(source, options_, predictor_, journal, events_);
  }
};

TEST_F(BySlicesTest, WhatItAsksForRunsSliceBySlice) {
  List list({"one", "two"}, 2);
  const RunResult result = go(list, {});
  EXPECT_EQ(list.verdicts, (std::vector<std::string>{"one agree", "one agree", "two agree", "two agree"}));
  EXPECT_EQ(list.iterations, 1000u);
  EXPECT_TRUE(list.identity);
  ASSERT_EQ(result.trials.size(), 1u);  // of those that agreed
  EXPECT_TRUE(result.trials[0].seen.empty());
  EXPECT_EQ(result.exit_code(), exits::agree);
  ASSERT_EQ(records("slice").size(), 4u);
  EXPECT_EQ(records("slice")[1]["seed"], 1002);
  EXPECT_EQ(told_, (std::vector<std::string>{"one", "two"}));
}

TEST_F(BySlicesTest, AFindingIsKept) {
  List list({"one", "two", "three"}, 1);
  const RunResult result = go(list, {"--fault=two=forbidden"});
  ASSERT_EQ(result.trials.size(), 2u);
  EXPECT_EQ(result.trials[1].program.name, "two");
  EXPECT_EQ(result.trials[1].seen.size(), 2u);
  EXPECT_EQ(result.exit_code(), exits::found);
}

TEST_F(BySlicesTest, AfterAReportOfTheKernelItGoesOnWithAnotherMachine) {
  options_.targets = {{"lab", "host"}};
  List list({"one", "two", "three"}, 2);
  go(list, {"--fault=one=health"});
  EXPECT_EQ(list.verdicts.front(), "one health closed");
  EXPECT_EQ(list.verdicts.back(), "three agree");
  EXPECT_EQ(machines_, 2);
}

TEST_F(BySlicesTest, WhatIsUndecidedCountsOnlyWhereNothingIsDecided) {
  List some({"one", "two"}, 1);
  EXPECT_EQ(go(some, {"--fault=one=empty"}).exit_code(), exits::agree);
  EXPECT_EQ(some.verdicts.front(), "one inconclusive");
  List none({"one", "two"}, 1);
  EXPECT_EQ(go(none, {"--fault=one=empty", "--fault=two=empty"}).exit_code(), exits::undecided);
}

TEST_F(BySlicesTest, ATargetWithNothingToRunDecidesNothing) {
  List list({}, 1);
  const RunResult result = go(list, {});
  EXPECT_EQ(result.trials.at(0).undecided, "no scenario runs there");
  EXPECT_EQ(result.exit_code(), exits::undecided);
}

TEST_F(BySlicesTest, ATargetThatIsNotThereEndsNotTheOthers) {
  options_.targets = {{"", "host"}, {"lab", "dmirror"}};
  List list({"one"}, 1);
  const RunResult result = go(list, {"--targets", "host"});
  EXPECT_EQ(list.verdicts.size(), 1u);
  EXPECT_EQ(
      std::ranges::count_if(result.trials, [](const Trial& t) { return t.undecided.find("load test_hmm") != t.undecided.npos; }),
      1);
}

}  // namespace
}  // namespace faultline
