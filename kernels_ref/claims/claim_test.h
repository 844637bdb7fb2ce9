// For the tests of claims: found as expected, and flipped by each variant that is said to flip it.
#pragma once

#include <gtest/gtest.h>

#include "kernels_ref/claims/claim.h"

namespace faultline::ref {

inline void expect_as_expected(const MailClaim& claim) {
  const ClaimAnswer answer = claim.decide({});
  EXPECT_STREQ(verdict_text(answer.verdict), verdict_text(claim.expected))
      << claim.id << " " << answer.detail << "\n"
      << answer.witness;
  EXPECT_GT(answer.states, 0u);
  EXPECT_FALSE(answer.detail.empty());
}

inline void expect_flips(const MailClaim& claim) {
  ASSERT_FALSE(claim.flips.empty()) << claim.id;
  for (const protocol::Variant variant : claim.flips) {
    const ClaimAnswer answer = claim.decide(protocol::with({variant}));
    EXPECT_STRNE(verdict_text(answer.verdict), verdict_text(claim.expected))
        << claim.id << " with " << variant_name(variant);
    EXPECT_NE(answer.verdict, ClaimVerdict::undecided) << claim.id;
  }
}

// "1_6"
inline std::string test_name(const MailClaim& claim) {
  std::string name = claim.id;
  for (char& c : name) c = c == '.' ? '_' : c;
  return name;
}

}  // namespace faultline::ref
