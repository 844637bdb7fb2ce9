// fork against each device class: healthy ones are clean, and each duty of a driver is needed.
#include "kernels_ref/protocol/fork/fork_fences.h"

#include <gtest/gtest.h>

namespace faultline::ref::protocol {
namespace {

class EachClass : public testing::TestWithParam<DeviceKind> {};
TEST_P(EachClass, IsCleanAcrossFork) {
  const Report r = examine(fork_with_device(GetParam(), 2, true), {});
  EXPECT_TRUE(r.complete);
  EXPECT_EQ(r.findings, 0u) << name_of(GetParam());
  // The child has what the device had written when it was cut off: nothing, or a part.
  EXPECT_GT(r.outcomes.size(), 1u);
}
TEST_P(EachClass, GetsOn) { EXPECT_FALSE(livelock(fork_with_device(GetParam(), 2, true), {}).livelock); }
INSTANTIATE_TEST_SUITE_P(Classes, EachClass, testing::ValuesIn(device_kinds));

TEST(ForkFences, WithoutANotifierTheDeviceWritesIntoTheChild) {
  for (const DeviceKind c : {DeviceKind::recoverable, DeviceKind::preempt_and_restore, DeviceKind::userptr}) {
    const Report r = examine(fork_with_device(c, 2, true), with({Variant::device_without_notifier}));
    EXPECT_TRUE(r.has(Finding::wrong_page)) << name_of(c);
    EXPECT_TRUE(r.has(Finding::lost_write)) << name_of(c);
  }
}

TEST(ForkFences, AnAccessThatWasTranslatedLandsUnlessItsTlbIsFlushed) {
  EXPECT_TRUE(
      examine(fork_with_device(DeviceKind::recoverable, 1, true), with({Variant::no_device_flush})).has(Finding::wrong_page));
}

TEST(ForkFences, PinsThatForkDoesNotSeeLoseWrites) {
  const Report r = examine(fork_with_device(DeviceKind::pinned, 2, true), with({Variant::pins_are_plain_references}));
  EXPECT_TRUE(r.has(Finding::wrong_page));
  EXPECT_TRUE(r.has(Finding::lost_write));
}

TEST(ForkFences, JobsThatJoinWhileTheNotifierWaits) {
  const Variants joins = with({Variant::submission_ignores_notifier});
  EXPECT_TRUE(examine(fork_with_queue(2, 1), joins).has(Finding::stale_entry));
  EXPECT_TRUE(examine(fork_with_queue(2, 1), joins).has(Finding::wrong_page));
  EXPECT_EQ(examine(fork_with_queue(2, 1), {}).findings, 0u);
  EXPECT_GT(examine(fork_with_queue(3, 2), joins).most[fork_waited], examine(fork_with_queue(3, 2), {}).most[fork_waited]);
}

TEST(ForkFences, AJobThatFaultsBehindForkWaitsForItself) {
  const Variants faults = with({Variant::job_faults_under_its_fence});
  EXPECT_EQ(examine(fence_chain(1), {}).findings, 0u);
  EXPECT_TRUE(examine(fence_chain(1), faults).has(Finding::waits_for_ever));
  const Report apart = examine(fence_chain_apart(1), faults);
  EXPECT_FALSE(apart.has(Finding::waits_for_ever));
  EXPECT_TRUE(apart.has(Finding::order_cycle)) << circle_text(apart.circle);
}

}  // namespace
}  // namespace faultline::ref::protocol
