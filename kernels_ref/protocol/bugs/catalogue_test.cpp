// Each historic bug is found, by what it was known for, and its protocol without it is clean.
#include <gtest/gtest.h>

#include "kernels_ref/protocol/bugs/historic_bug.h"

namespace faultline::ref::protocol {
namespace {

class Mutants : public testing::TestWithParam<Mutant> {};

TEST_P(Mutants, IsFoundAndOnlyThere) {
  const Mutant& mutant = GetParam();
  const MutantScore s = score(mutant);
  EXPECT_TRUE(s.complete);
  EXPECT_TRUE(s.healthy_clean);
  EXPECT_TRUE(s.caught);
  EXPECT_EQ(s.by.substr(0, s.by.find(':')), finding_text(mutant.expected));
  EXPECT_EQ(s.executions == 0, mutant.expected == Finding::livelock);
}

INSTANTIATE_TEST_SUITE_P(All, Mutants, testing::ValuesIn(mutants()), [](const auto& info) {
  std::string name(variant_name(info.param.variant));
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

TEST(Score, AVariantThatChangesNothingIsNotCaught) {
  Mutant mutant = mutants().front();
  mutant.variant = Variant::find_knows_deferred;
  const MutantScore s = score(mutant);
  EXPECT_TRUE(s.healthy_clean);
  EXPECT_FALSE(s.caught);
  EXPECT_TRUE(s.complete);
}

TEST(Score, ABudgetThatEndsFirstIsNoAnswer) { EXPECT_FALSE(score(mutants().front(), {.states = 100}).complete); }

}  // namespace
}  // namespace faultline::ref::protocol
