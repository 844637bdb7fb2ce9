// The interval notifier protocol is right, and each of its duties is needed.
#include "kernels_ref/protocol/notifiers/interval_notifier.h"

#include <gtest/gtest.h>

namespace faultline::ref::protocol {
namespace {

TEST(IntervalNotifier, AHealthyDriverMapsNothingStale) {
  const Report r = examine(interval_notifier(2, 1, 2), {});
  EXPECT_TRUE(r.complete);
  EXPECT_EQ(r.findings, 0u) << schedule_text(*witness(interval_notifier(2, 1, 2), {}, Finding::stale_entry).schedule,
                                             thread_names(interval_notifier(2, 1, 2)));
  EXPECT_TRUE(r.outcomes.contains("pte=5 entry=5"));
  EXPECT_TRUE(r.outcomes.contains("pte=5 entry=0"));
  EXPECT_EQ(r.outcomes.size(), 2u);
}

TEST(IntervalNotifier, NoThreadRunsForEver) { EXPECT_FALSE(livelock(interval_notifier(1, 1, 2), {}).livelock); }

class Broken : public testing::TestWithParam<Variant> {};
TEST_P(Broken, IsFound) {
  const Protocol p = interval_notifier(2, 1, 2);
  const Report r = examine(p, with({GetParam()}));
  EXPECT_TRUE(r.findings) << name_of(GetParam());
  EXPECT_GT(r.ends_until_found + r.states, 0u);
}
INSTANTIATE_TEST_SUITE_P(EachDuty, Broken,
                         testing::Values(Variant::no_read_retry, Variant::callback_does_not_stamp, Variant::callback_without_lock,
                                         Variant::read_begin_does_not_wait, Variant::first_end_completes));

TEST(Symmetry, ExchangingEqualThreadsKeepsOutcomes) {
  const Report one = examine(interval_notifier(2, 2, 1), {}, {.workers = 1});
  const Report two = examine(interval_notifier(2, 2, 1), {}, {.workers = 2});
  EXPECT_EQ(one.states, two.states);
  EXPECT_EQ(one.outcomes, two.outcomes);
}

}  // namespace
}  // namespace faultline::ref::protocol
