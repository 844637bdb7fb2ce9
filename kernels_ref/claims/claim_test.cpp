// Every claim gets the verdict that was reasoned, and depends on the variants and rules that it names.
#include <gtest/gtest.h>

#include "kernels_ref/claims/claim.h"
#include "kernels_ref/protocol/notifiers/interval_notifier.h"

namespace faultline::ref {
namespace {

using protocol::Variant;

class Claims : public testing::TestWithParam<MailClaim> {};

TEST_P(Claims, IsDecidedAsExpected) {
  const MailClaim& claim = GetParam();
  const ClaimAnswer answer = claim.decide({});
  EXPECT_STREQ(verdict_text(answer.verdict), verdict_text(claim.expected)) << answer.detail << "\n" << answer.witness;
  EXPECT_GT(answer.states, 0u);
  EXPECT_FALSE(answer.detail.empty());
}

TEST_P(Claims, Flips) {
  const MailClaim& claim = GetParam();
  ASSERT_FALSE(claim.flips.empty());
  for (const Variant variant : claim.flips) {
    const ClaimAnswer answer = claim.decide(protocol::with({variant}));
    EXPECT_STRNE(verdict_text(answer.verdict), verdict_text(claim.expected)) << name_of(variant);
    EXPECT_NE(answer.verdict, ClaimVerdict::undecided) << name_of(variant);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Claims, testing::ValuesIn(mail_claims()), [](const auto& info) {
  std::string name = info.param.id;
  for (char& c : name) c = c == '.' ? '_' : c;
  return name;
});

TEST(Never, IsRefutedWithASchedule) {
  const auto protocol = [] { return protocol::interval_notifier(1, 1, 1); };
  const Decide decide = never(protocol, {}, {protocol::Finding::stale_entry});
  EXPECT_EQ(decide({}).verdict, ClaimVerdict::holds);
  const ClaimAnswer broken = decide(protocol::with({Variant::no_read_retry}));
  EXPECT_EQ(broken.verdict, ClaimVerdict::refuted);
  EXPECT_FALSE(broken.witness.empty());
}

}  // namespace
}  // namespace faultline::ref
