// Shortest schedules and livelocks, on protocols small enough to know the answer.
#include "kernels_ref/engine/schedule.h"

#include <gtest/gtest.h>

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {
namespace {

Task<void> raise(Kernel k, int to) {
  co_await k.step("raise");
  k.world().count[0] = static_cast<std::uint8_t>(to);
}

// Turns for ever, until count[0] is set by the other thread.
Task<void> spin(Kernel k, int) {
  while (!k.world().count[0]) co_await k.step("look again");
}

Task<void> flip(Kernel k, int) {
  while (true) {
    co_await k.step("flip");
    k.world().count[1] ^= 1;
  }
}

TEST(Shortest, GoesTheStraightWay) {
  const Protocol p{.name = "raise", .threads = {{"low", raise, 1}, {"high", raise, 7}}, .outcome = [](const World& w) {
                     return std::to_string(w.count[0]);
                   }};
  const Found found = witness(p, {}, std::string("1"));
  ASSERT_TRUE(found.schedule);
  EXPECT_EQ(schedule_text(*found.schedule, thread_names(p)), "     low      high\n  1           raise\n  2  raise\n");
  EXPECT_FALSE(witness(p, {}, std::string("2")).schedule);
  EXPECT_FALSE(witness(p, {}, std::string("2"), 2).complete);
}

TEST(Livelock, WaitingForAnotherThreadIsNone) {
  EXPECT_FALSE(livelock({.name = "ends", .threads = {{"spin", spin}, {"raise", raise, 1}}}, {}).livelock);
}

TEST(Livelock, SpinningAloneIsOne) {
  const auto found = livelock({.name = "turns", .threads = {{"spin", spin}, {"nothing", raise, 0}}}, {}).livelock;
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cycle.size(), 1u);
  EXPECT_TRUE(livelock({.name = "flips", .threads = {{"flip", flip}}}, {}).livelock);
}

Task<void> hold_and_take(Kernel k, int order) {
  const Lock first = order ? Lock::driver : Lock::mmap_a, second = order ? Lock::mmap_a : Lock::driver;
  co_await k.lock(first);
  co_await k.lock(second);
  k.unlock(second);
  k.unlock(first);
  k.returns();
}

Task<void> in_turn(Kernel k, int) {
  co_await hold_and_take(k, 0);
  co_await hold_and_take(k, 1);
}

TEST(Order, ACircleIsFoundWithoutADeadlock) {
  const Report alone = examine({.name = "one thread", .threads = {{"both", in_turn}}}, {});
  EXPECT_FALSE(alone.has(Finding::waits_for_ever));
  EXPECT_TRUE(alone.has(Finding::order_cycle));
  EXPECT_EQ(circle_text(alone.circle), "mmap_lock -> driver lock -> mmap_lock");
  const Report two = examine({.name = "two", .threads = {{"one", hold_and_take, 0}, {"other", hold_and_take, 1}}}, {});
  EXPECT_TRUE(two.has(Finding::waits_for_ever));
  const Report same = examine({.name = "same", .threads = {{"one", hold_and_take, 0}, {"other", hold_and_take, 0}}}, {});
  EXPECT_EQ(same.findings, 0u);
}

Task<void> unlock_twice(Kernel k, int) {
  co_await k.lock(Lock::driver);
  k.unlock(Lock::driver);
  k.unlock(Lock::driver);
}
Task<void> forget(Kernel k, int) {
  co_await k.read_lock(Lock::mmap_a);
  k.returns();
}
Task<void> use_freed(Kernel k, int) {
  k.make(0);
  co_await k.step("free");
  k.free(0);
  k.use(0);
}

TEST(Findings, OfOneThread) {
  const auto only = [](Task<void> (*run)(Kernel, int)) { return examine({.threads = {{"thread", run}}}, {}).findings; };
  EXPECT_EQ(only(unlock_twice), bit(Finding::unlock_not_held));
  EXPECT_EQ(only(forget), bit(Finding::lock_at_return));
  EXPECT_EQ(only(use_freed), bit(Finding::use_after_free));
}

}  // namespace
}  // namespace faultline::ref::protocol
