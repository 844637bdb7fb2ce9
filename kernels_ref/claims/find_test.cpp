// mmu_interval_notifier_find(): what its claims rest on.
#include <gtest/gtest.h>

#include "kernels_ref/protocol/notifiers/find.h"

namespace faultline::ref {

using namespace protocol;

namespace {

// What the deferred list adds: without an invalidation the lock is enough, and find is right.
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
