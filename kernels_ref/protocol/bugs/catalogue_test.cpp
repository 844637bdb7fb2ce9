// Each historic bug is found by the finding that is expected, and its protocol without the bug is clean.
#include <gtest/gtest.h>

#include "kernels_ref/protocol/bugs/historic_bug.h"

namespace faultline::ref::protocol {
namespace {

class HistoricBugs : public testing::TestWithParam<HistoricBug> {};

TEST_P(HistoricBugs, IsFoundAndOnlyThere) {
  const HistoricBug& bug = GetParam();
  const BugScore s = score(bug);
  EXPECT_TRUE(s.complete);
  EXPECT_TRUE(s.healthy_clean);
  EXPECT_TRUE(s.caught);
  EXPECT_EQ(s.by.substr(0, s.by.find(':')), finding_text(bug.expected));
  EXPECT_EQ(s.executions == 0, bug.expected == Finding::livelock);
}

INSTANTIATE_TEST_SUITE_P(All, HistoricBugs, testing::ValuesIn(historic_bugs()), [](const auto& info) {
  std::string name(name_of(info.param.variant));
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

TEST(Score, AVariantThatChangesNothingIsNotCaught) {
  HistoricBug bug = historic_bugs().front();
  bug.variant = Variant::find_knows_deferred;
  const BugScore s = score(bug);
  EXPECT_TRUE(s.healthy_clean);
  EXPECT_FALSE(s.caught);
  EXPECT_TRUE(s.complete);
}

TEST(Score, ABudgetThatEndsFirstIsNoAnswer) { EXPECT_FALSE(score(historic_bugs().front(), {.states = 100}).complete); }

}  // namespace
}  // namespace faultline::ref::protocol
