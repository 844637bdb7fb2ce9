#include "harness/times.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(Durations, EveryOneIsInItsClass) {
  EXPECT_EQ(Durations::class_of(0), 0);
  for (std::uint64_t ns = 1; ns < 100'000; ++ns) {
    const int index = Durations::class_of(ns);
    EXPECT_LE(ns, Durations::end_of(index)) << ns;
    EXPECT_GT(ns, Durations::end_of(index - 1)) << ns;
  }
  EXPECT_LT(Durations::class_of(~std::uint64_t{0}), Durations::classes);
}

TEST(Durations, Quantiles) {
  Durations some;
  EXPECT_EQ(some.quantile(0.5), 0u);
  for (int i = 0; i < 10; ++i) some.note(1000);
  some.note(1'000'000);
  EXPECT_GE(some.quantile(0.5), 1000u);
  EXPECT_LT(some.quantile(0.5), 1200u);
  EXPECT_EQ(some.quantile(1), 1'000'000u);
}

TEST(CommandTimes, ThoseOutOfOrderAreCountedAndNotMeasured) {
  CommandTimes times;
  times.note(1, 2, 5, 10);
  times.note(1, 2, 5, 4);
  times.note(2, 1, 5, 9);
  CommandTimes all;
  all.add(times);
  EXPECT_EQ(all.commands, 3u);
  EXPECT_EQ(all.disordered, 2u);
  EXPECT_EQ(all.waited.quantile(1), 3u);
  EXPECT_EQ(all.ran.quantile(1), 5u);
}

}  // namespace
}  // namespace faultline
