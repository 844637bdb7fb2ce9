// Behind a notifier nothing is lost. With pins, each rule that keeps them safe is needed.
#include "kernels_ref/protocol/fork/pinned_pages.h"

#include <gtest/gtest.h>

namespace faultline::ref::protocol {
namespace {

TEST(Pins, ADeviceBehindANotifierIsClean) {
  for (const Protocol& p : {writeback_against_device(), compaction_against_device(), truncation_against_device()}) {
    const Report r = examine(p, {});
    EXPECT_TRUE(r.complete);
    EXPECT_EQ(r.findings, 0u) << p.name;
    EXPECT_FALSE(livelock(p, {}).livelock) << p.name;
  }
}

TEST(Pins, WaitersEndOnlyIfThePinDoes) {
  EXPECT_TRUE(examine(wait_for_pin(2), {}).has(Finding::waits_for_ever));
  EXPECT_EQ(examine(wait_for_pin(2), with({Variant::pins_are_short})).findings, 0u);
}

TEST(Pins, AWriteBehindWritebackIsLostOrDirtiesBehindTheFilesystem) {
  const Variants pins = with({Variant::device_pins});
  const Report dirties = examine(writeback_against_device(), pins);
  EXPECT_TRUE(dirties.has(Finding::wrong_result));
  EXPECT_FALSE(dirties.has(Finding::lost_write));
  EXPECT_TRUE(examine(writeback_against_device(), pins | with({Variant::unpin_does_not_dirty})).has(Finding::lost_write));
}

TEST(Pins, MigrationMustSeePins) {
  const Variants pins = with({Variant::device_pins});
  EXPECT_EQ(examine(compaction_against_device(), pins).findings, 0u);
  EXPECT_TRUE(examine(compaction_against_device(), pins | with({Variant::migration_ignores_pins})).has(Finding::lost_write));
}

}  // namespace
}  // namespace faultline::ref::protocol
