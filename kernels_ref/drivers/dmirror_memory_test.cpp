// Two threads move or copy a page of test_hmm's devices at once. The bugs that a healthy kernel has there are reported.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

using Names = std::vector<std::string>;

Names bugs_of(const std::string& body) {
  const Allowed allowed =
      predict(parse("scenario t\ndevice d: recoverable\ndevice e: recoverable\nprocess P\n"
                    "  a: 2 pages anon rw = 5\n" +
                        body,
                    "test"));
  EXPECT_TRUE(allowed.complete);
  EXPECT_TRUE(allowed.findings.empty()) << allowed.findings.front();
  Names names = allowed.known_bugs;
  std::ranges::sort(names);
  return names;
}

const std::string migrated = "thread P.m\n  migrate a[0] to d\n  barrier go\n";
const std::string cpu_load = "  barrier go\n  load a[0]\n";
const std::string device_load = "  barrier go\n  load a[0] via d\n";

// do_swap_page takes a reference before migrate_to_ram; migrate_vma_check_page lets one too many pass.
TEST(DmirrorMemory, TwoFaultsAtOnceMayLoseTheDevicesEntry) {
  const std::string two_faults = migrated + "thread P.c1\n" + cpu_load + "thread P.c2\n" + cpu_load;
  EXPECT_EQ(bugs_of(two_faults), Names{});
  EXPECT_EQ(bugs_of(two_faults + "thread P.d\n" + device_load), (Names{"freed-private-copy", "miscounted-private-page"}));
  EXPECT_EQ(bugs_of(migrated + "thread P.c1\n" + cpu_load +
                    "thread P.s\n  barrier go\n  migrate a[0] to system via d\n"
                    "thread P.d\n" +
                    device_load),
            (Names{"freed-private-copy", "miscounted-private-page"}));
}

// Two faults one after the other meet no bug.
TEST(DmirrorMemory, OneFaultAfterTheOther) {
  EXPECT_EQ(bugs_of("thread P.m\n  migrate a[0] to d\n  load a[0]\n  load a[0]\n  load a[0] via d\n"), Names{});
}

// The texts of the first result, in every allowed outcome.
std::set<std::string> results(const std::string& body) {
  std::set<std::string> texts;
  const Allowed allowed =
      predict(parse("scenario t\ndevice d: recoverable\nprocess P\n  a: 2 pages anon rw\nthread P.t\n" + body, "test"));
  EXPECT_TRUE(allowed.complete);
  for (const Outcome& outcome : allowed.outcomes) texts.insert(outcome.at(0));
  return texts;
}

TEST(DmirrorMemory, AnAllocationFails) {
  using Texts = std::set<std::string>;
  EXPECT_EQ(results("  migrate a to d via d fail 1\n"), Texts{"ENOENT"});
  EXPECT_EQ(results("  migrate a to d via d fail 2\n"), Texts{"ENOENT"});
  EXPECT_EQ(results("  migrate a to d via d fail 3\n"), (Texts{"ENOENT", "ENOMEM", "ok"}))
      << "what is allocated later is not counted";
  EXPECT_EQ(results("  migrate a to system via d fail 1\n"), Texts{"ok"}) << "nothing is allocated";
  const std::string fork = "thread P.u\n  fork C\nprocess C\n";
  EXPECT_EQ(results("  migrate a to system via d fail 1\n" + fork), (Texts{"EFAULT", "ok"})) << "a copy of the stack";
}

// dmirror_devmem_fault_alloc_and_copy takes no mutex.
TEST(DmirrorMemory, ACopyMayComeTooLate) {
  EXPECT_EQ(
      bugs_of("thread P.m\n  migrate a[0] to e\n  barrier go\n  load a[0] via e\nthread P.c\n  barrier go\n  store a[0] 7\n"),
      Names{"freed-private-copy"});
  EXPECT_EQ(bugs_of(migrated + "thread P.d\n  barrier go\n  store a[0] 7 via d\nthread P.s\n  barrier go\n"
                               "  migrate a[0] to system via d\n"),
            Names{"freed-private-copy"});
}

// The callback of munmap() takes the mutex. So does the callback of a close: dmirror_device_evict_chunk sends CLEAR.
TEST(DmirrorMemory, WhatTellsTheDeviceWaitsForTheCopy) {
  EXPECT_EQ(bugs_of(migrated + "thread P.d\n" + device_load + "thread P.u\n  barrier go\n  munmap a[0]\n"), Names{});
  EXPECT_EQ(bugs_of("thread P.m\n  fork C\n  migrate a[0] to d\n  barrier go\nthread P.d\n" + device_load +
                    "process C\n  barrier go\n  load a[0]\n"),
            Names{});
}

// A page that migrate_vma_insert_page has mapped stays locked until the migration ends. So no fault and no other migration takes
// it away before the device has it.
TEST(DmirrorMemory, AnInsertedPageIsLocked) {
  EXPECT_EQ(bugs_of("thread P.m\n  madvise a[0] dontneed\n  load a[0]\n  migrate a[0] to d\n  load a[0]\n"
                    "thread P.s\n  migrate a[0] to system via d\n"),
            Names{});
}

// The device's own MIGRATE stamps nothing. So the fault still has the old page, even if it is in system memory again.
TEST(DmirrorMemory, AFaultBeginsBeforeAMigration) {
  EXPECT_EQ(bugs_of("thread P.m\n  migrate a[0] to d\n  load a[0]\nthread P.d\n  load a[0] via d\n"),
            (Names{"erased-private-read", "freed-private-copy", "unstamped-migration"}));
}

}  // namespace
}  // namespace faultline
