// Every claim of the thread comes out as expected, and each of its flips changes the verdict.
#include <gtest/gtest.h>

#include <filesystem>

#include "kernels_ref/claims/claim.h"

namespace faultline::ref {
namespace {

class Pins : public testing::TestWithParam<MailClaim> {};
TEST_P(Pins, IsDecidedAsExpectedAndFlips) {
  const MailClaim& claim = GetParam();
  const ClaimAnswer answer = claim.decide({});
  EXPECT_STREQ(verdict_text(answer.verdict), verdict_text(claim.expected)) << claim.id << ": " << answer.detail << "\n"
                                                                          << answer.witness;
  ASSERT_FALSE(claim.flips.empty());
  for (const protocol::Variant v : claim.flips)
    EXPECT_NE(claim.decide(protocol::with({v})).verdict, claim.expected) << claim.id << " with " << variant_name(v);
  EXPECT_TRUE(!claim.scenario || std::filesystem::exists(claim.scenario)) << claim.scenario;
}
INSTANTIATE_TEST_SUITE_P(Thread002, Pins, testing::ValuesIn(pin_claims()),
                         [](const auto& info) {
                           std::string name = info.param.id;
                           name[name.find('.')] = '_';
                           return "Claim" + name;
                         });

}  // namespace
}  // namespace faultline::ref
