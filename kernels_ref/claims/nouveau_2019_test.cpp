// What the thread of July 2019 claims, decided, and what makes each verdict flip.
#include <gtest/gtest.h>

#include "kernels_ref/claims/claim.h"

namespace faultline::ref {
namespace {

class Nouveau2019 : public testing::TestWithParam<int> {};

TEST_P(Nouveau2019, IsAsExpected) {
  const MailClaim claim = nouveau_2019_claims()[GetParam()];
  const ClaimAnswer answer = claim.decide({});
  EXPECT_STREQ(verdict_text(answer.verdict), verdict_text(claim.expected)) << claim.id << " " << answer.detail << "\n" << answer.witness;
  EXPECT_GT(answer.states, 0u);
  EXPECT_FALSE(answer.detail.empty());
}

TEST_P(Nouveau2019, Flips) {
  const MailClaim claim = nouveau_2019_claims()[GetParam()];
  ASSERT_FALSE(claim.flips.empty());
  for (const protocol::Variant variant : claim.flips) {
    const ClaimAnswer answer = claim.decide(protocol::with({variant}));
    EXPECT_STRNE(verdict_text(answer.verdict), verdict_text(claim.expected)) << claim.id << " with " << variant_name(variant);
    EXPECT_NE(answer.verdict, ClaimVerdict::undecided);
  }
}

INSTANTIATE_TEST_SUITE_P(Claims, Nouveau2019, testing::Range(0, 10), [](const auto& info) {
  std::string id = nouveau_2019_claims()[info.param].id;
  id[1] = '_';
  return id;
});

// The paths that claim 1.2 lists, each once.
TEST(Nouveau2019Paths, BeforeTheSeriesThreeUnlockTwice) {
  const ClaimAnswer answer = nouveau_2019_claims()[1].decide({});
  for (const char* path : {"hmm_range_wait_until_valid -EAGAIN: mmap_sem unlocked twice", "hmm_range_fault 0: mmap_sem unlocked twice",
                           "hmm_range_fault -EAGAIN: mmap_sem unlocked twice"}) {
    EXPECT_NE(answer.detail.find(path), std::string::npos) << answer.detail;
    EXPECT_NE(answer.witness.find(path), std::string::npos);
  }
  EXPECT_EQ(answer.detail.find("leaked"), std::string::npos);
}

}  // namespace
}  // namespace faultline::ref
