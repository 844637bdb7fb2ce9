// The figures behind the claims of March 2019.
#include <gtest/gtest.h>

#include "kernels_ref/protocol/drivers/dying_mm.h"

namespace faultline::ref {
namespace {

using namespace protocol;

TEST(DyingMm, WhatTheExitWaitsForDoesNotGrowWithTheQueue) {
  for (const Variants& variants : {Variants{}, with({Variant::no_dying_check})}) {
    const Report four = examine(dying_mm(4), variants), eight = examine(dying_mm(8), variants);
    EXPECT_GT(four.most[teardown_delay], 0);
    EXPECT_EQ(four.most[teardown_delay], eight.most[teardown_delay]);
  }
}

TEST(DyingMm, ABlindMmgetReachesADeadMm) {
  const Report report = examine(dying_mm(2), with({Variant::dying_check_replaces_mmget}));
  EXPECT_TRUE(report.has(Finding::stale_entry));
}

}  // namespace
}  // namespace faultline::ref
