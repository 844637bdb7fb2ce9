// The claims of thread 004 come out as reasoned, and each verdict hangs on what it is said to hang on.
#include <gtest/gtest.h>

#include "kernels_ref/claims/claim.h"
#include "kernels_ref/protocol/find.h"

namespace faultline::ref {

using namespace protocol;

namespace {

TEST(FindClaims, AreDecidedAsExpected) {
  for (const MailClaim& claim : find_claims()) {
    const ClaimAnswer answer = claim.decide({});
    EXPECT_EQ(answer.verdict, claim.expected) << claim.id << ": " << answer.detail << "\n" << answer.witness;
    EXPECT_FALSE(answer.detail.empty()) << claim.id;
    EXPECT_FALSE(answer.witness.empty()) << claim.id;
  }
}

TEST(FindClaims, FlipUnderEachVariantNamed) {
  for (const MailClaim& claim : find_claims()) {
    EXPECT_FALSE(claim.flips.empty()) << claim.id;
    for (const Variant variant : claim.flips) {
      const ClaimAnswer answer = claim.decide(with({variant}));
      EXPECT_NE(answer.verdict, claim.expected)
          << claim.id << " under " << variant_name(variant) << ": " << answer.detail;
      EXPECT_NE(answer.verdict, ClaimVerdict::undecided) << claim.id;
    }
  }
}

// What "deferred" adds: without an invalidation the lock is enough, and find is right.
TEST(Find, IsRightAndSafeUnderTheLockWhileNothingIsDeferred) {
  Protocol put = find_against_put(), changes = find_against_changes();
  put.threads.erase(put.threads.begin());
  changes.threads.erase(changes.threads.begin());
  const Variants locked = with({Variant::driver_lock_around_interval_calls});
  EXPECT_EQ(examine(put, locked).findings, 0u);
  EXPECT_EQ(examine(changes, locked).findings, 0u);
  EXPECT_TRUE(examine(put, {}).has(Finding::use_after_free));
}

TEST(Find, GivesWhatIsGoneAndMissesWhatIsThere) {
  const Report r = examine(find_against_changes(), with({Variant::driver_lock_around_interval_calls}));
  EXPECT_EQ(r.most[gave_what_is_gone], 1);
  EXPECT_EQ(r.most[missed_what_is_there], 1);
}

TEST(Find, RemoveUnderTheLockThatCallbacksTakeWaitsForEver) {
  const Variants locked = with({Variant::driver_lock_around_interval_calls, Variant::removes_under_driver_lock});
  EXPECT_TRUE(examine(find_against_put(), locked).has(Finding::waits_for_ever));
}

}  // namespace
}  // namespace faultline::ref
