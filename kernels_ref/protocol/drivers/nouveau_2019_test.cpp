// nouveau's fault worker then and now, path by path.
#include "kernels_ref/protocol/drivers/nouveau_2019.h"

#include <gtest/gtest.h>

namespace faultline::ref::protocol {
namespace {

constexpr int anything = any_error | time_runs_out;

std::set<std::string> not_once(const Variants& variants) {
  std::set<std::string> paths;
  for (const std::string& path : examine(nouveau_return_paths(anything), variants).outcomes)
    if (!path.ends_with("unlocked once")) paths.insert(path);
  return paths;
}

TEST(Nouveau2019, PatchByPatch) {
  const Variants before = with({Variant::invalid_range_is_eagain, Variant::helper_unlocks_some, Variant::timeout_is_eagain});
  EXPECT_EQ(not_once(before), (std::set<std::string>{"hmm_range_fault -EAGAIN: mmap_sem unlocked twice",
                                                     "hmm_range_fault 0: mmap_sem unlocked twice",
                                                     "hmm_range_wait_until_valid -EAGAIN: mmap_sem unlocked twice"}));
  // 1/6 (and 2/6, which only moves the code): another code, the same lock.
  const Variants after_2 = with({Variant::helper_unlocks_some, Variant::timeout_is_eagain});
  EXPECT_EQ(not_once(after_2), (std::set<std::string>{"hmm_range_fault -EBUSY: mmap_sem unlocked twice",
                                                      "hmm_range_fault 0: mmap_sem unlocked twice",
                                                      "hmm_range_wait_until_valid -EAGAIN: mmap_sem unlocked twice"}));
  EXPECT_EQ(not_once(with({Variant::timeout_is_eagain})), std::set<std::string>{});  // 4/6
  EXPECT_EQ(not_once({}), std::set<std::string>{});                                  // 5/6
}

TEST(Nouveau2019, EveryErrorOfTheApiIsMet) {
  const Report report = examine(nouveau_return_paths(anything), {});
  EXPECT_EQ(
      report.outcomes,
      (std::set<std::string>{"hmm_range_fault -EBUSY: mmap_sem unlocked once", "hmm_range_fault -EFAULT: mmap_sem unlocked once",
                             "hmm_range_fault -EINVAL: mmap_sem unlocked once", "hmm_range_fault -ENOMEM: mmap_sem unlocked once",
                             "hmm_range_fault -EPERM: mmap_sem unlocked once", "hmm_range_fault 0: mmap_sem unlocked once",
                             "hmm_range_register -EINVAL: mmap_sem unlocked once",
                             "hmm_range_wait_until_valid -EBUSY: mmap_sem unlocked once", "success: mmap_sem unlocked once"}));
  EXPECT_TRUE(examine(nouveau_exit(quiet), with({Variant::done_after_unlock}))
                  .outcomes.contains("hmm_range_register -EFAULT: mmap_sem unlocked once"));
}

TEST(Nouveau2019, ACollisionNeedsASequenceAndTheRetryOfErrors) {
  const Report series = examine(nouveau_collision(), {});
  EXPECT_TRUE(series.has(Finding::stale_entry));
  EXPECT_TRUE(series.has(Finding::wrong_result));
  EXPECT_TRUE(examine(nouveau_collision(), with({Variant::retry_in_helper})).has(Finding::stale_entry));
  EXPECT_TRUE(examine(nouveau_collision(), with({Variant::valid_is_a_sequence})).has(Finding::wrong_result));
  EXPECT_EQ(examine(nouveau_collision(), with({Variant::retry_in_helper, Variant::valid_is_a_sequence})).findings, 0u);
}

TEST(NouveauToday, IsClean) {
  for (const Protocol& p : {nouveau_today(quiet), nouveau_today(time_runs_out), nouveau_today_exit()}) {
    const Report report = examine(p, {});
    EXPECT_TRUE(report.complete);
    EXPECT_EQ(report.findings, 0u) << p.name << " " << circle_text(report.circle);
    EXPECT_FALSE(livelock(p, {}).livelock);
  }
}

TEST(NouveauToday, NeedsTheStampTheWaitAndTheRetry) {
  for (const Variant variant : {Variant::no_read_retry, Variant::callback_does_not_stamp, Variant::read_begin_does_not_wait})
    EXPECT_TRUE(examine(nouveau_today(quiet), with({variant})).has(Finding::stale_entry)) << name_of(variant);
}

// The mm-wide notifier, which drops the entry, comes after the stamp and takes the same mutex. So it waits for a
// fault that has passed read_retry.
TEST(NouveauToday, TheStampNeedsNoLockOfItsOwn) {
  EXPECT_EQ(examine(nouveau_today(quiet), with({Variant::callback_without_lock})).findings, 0u);
}

}  // namespace
}  // namespace faultline::ref::protocol
