// Pins against fork: what today's rules keep, and what each of them is needed for.
#include "kernels_ref/protocol/fork/fork_pins.h"

#include <gtest/gtest.h>

namespace faultline::ref::protocol {
namespace {

TEST(ForkPins, TodaysRulesAreClean) {
  for (const Protocol& p : {o_direct_reads_file(), o_direct_writes_file(), fork_tree(false), fork_tree(true), pinned_at_fork(2),
                            gup_fast_against_fork()}) {
    const Report r = examine(p, {});
    EXPECT_TRUE(r.complete);
    EXPECT_EQ(r.findings, 0u) << p.name;
    EXPECT_FALSE(livelock(p, {}).livelock) << p.name;
  }
}

TEST(ForkPins, PlainReferencesLoseWhatAFileReadBrings) {
  const Variants plain = with({Variant::pins_are_plain_references});
  EXPECT_TRUE(examine(o_direct_reads_file(), plain).has(Finding::lost_write));
  EXPECT_FALSE(examine(o_direct_reads_file(), plain | with({Variant::madv_dontfork})).has(Finding::lost_write));
}

TEST(ForkPins, AReadPinStaysOnThePageOfItsProcess) {
  EXPECT_EQ(examine(fork_tree(true), {}).outcomes, (std::set<std::string>{"on C's page"}));
  EXPECT_TRUE(examine(fork_tree(true), with({Variant::read_pin_takes_shared})).has(Finding::wrong_page));
  const Variants forced = with({Variant::read_pin_breaks_cow, Variant::reuse_by_mapcount});
  EXPECT_FALSE(examine(fork_tree(true), forced).has(Finding::wrong_page));
  EXPECT_TRUE(examine(fork_tree(true), forced | with({Variant::gup_fast_takes_shared})).has(Finding::wrong_page));
}

TEST(ForkPins, ForkCopiesWhatIsPinnedAndNothingElse) {
  for (int pinned = 0; pinned <= 2; ++pinned) EXPECT_EQ(examine(pinned_at_fork(pinned), {}).most[7], pinned);
  EXPECT_EQ(examine(pinned_at_fork(2), with({Variant::madv_dontfork})).outcomes, (std::set<std::string>{"child: hole hole"}));
}

TEST(ForkPins, OnlyTheSequenceCountStopsGupFast) {
  EXPECT_TRUE(examine(gup_fast_against_fork(), with({Variant::gup_fast_ignores_seq})).has(Finding::wrong_page));
}

}  // namespace
}  // namespace faultline::ref::protocol
