// What the thread of March 2019 claims, decided, and what makes each verdict flip.
#include "kernels_ref/claims/claim_test.h"
#include "kernels_ref/protocol/dying_mm.h"

namespace faultline::ref {
namespace {

using namespace protocol;

class DyingMmClaims : public testing::TestWithParam<MailClaim> {};
TEST_P(DyingMmClaims, IsAsExpected) { expect_as_expected(GetParam()); }
TEST_P(DyingMmClaims, Flips) { expect_flips(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, DyingMmClaims, testing::ValuesIn(dying_mm_claims()),
                         [](const auto& info) { return test_name(info.param); });

TEST(DyingMm, WhatTheExitWaitsForDoesNotGrowWithTheQueue) {
  for (const Variants& variants : {Variants{}, with({Variant::no_dying_check})}) {
    const Report four = examine(dying_mm(4), variants), eight = examine(dying_mm(8), variants);
    EXPECT_GT(four.most[teardown_delay], 0);
    EXPECT_EQ(four.most[teardown_delay], eight.most[teardown_delay]);
  }
}

TEST(DyingMm, ABlindMmgetReachesADeadMm) {
  const Report report = examine(dying_mm(2), with({Variant::dying_check_replaces_mmget}));
  EXPECT_TRUE(report.has(Finding::stale_entry));
}

}  // namespace
}  // namespace faultline::ref
