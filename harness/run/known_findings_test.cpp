#include "harness/run/known_findings.h"

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

namespace faultline {
namespace {

using Text = std::vector<std::string>;

// lockdep's report of 6.1.192, without most of the stacks.
const Text lock_cycle{
    "======================================================",
    "WARNING: possible circular locking dependency detected",
    "6.1.192-faultline #1 Not tainted",
    "lab-agent/75 is trying to acquire lock:",
    "ffff88803f8474a0 (&mgr->lock#2){+.+.}-{3:3}, at: amdgpu_vram_mgr_new+0x11c/0x4e0 [amdgpu]",
    R"(\x0abut task is already holding lock:)",
    "ffff88803e51bd98 (&prange->lock){+.+.}-{3:3}, at: svm_range_validate_and_map+0x6d3/0x1250 [amdgpu]",
    R"(\x0a-> #3 (&prange->lock){+.+.}-{3:3}:)",
    "       svm_range_cpu_invalidate_pagetables+0x64/0x4b0 [amdgpu]",
    R"(\x0a-> #2 (mmu_notifier_invalidate_range_start){+.+.}-{0:0}:)",
    "       fs_reclaim_acquire+0x6c/0xd0",
    R"(\x0a-> #1 (fs_reclaim){+.+.}-{0:0}:)",
    "       split_block+0x58/0x170 [drm_buddy]",
    R"(\x0a-> #0 (&mgr->lock#2){+.+.}-{3:3}:)",
    "       amdgpu_vram_mgr_new+0x11c/0x4e0 [amdgpu]",
    "other info that might help us debug this:",
};

// What the console says of the page, with its times.
const Text reused_page{
    "[   40.7] page dumped because: VM_BUG_ON_PAGE(page_ref_count(page) == 0)",
    "[   40.7] ------------[ cut here ]------------",
    "[   40.8] kernel BUG at include/linux/mm.h:780!",
    "[   40.8] invalid opcode: 0000 [#1] PREEMPT SMP",
    "[   40.8] RIP: 0010:migrate_device_finalize+0x2d9/0x320",
    "[   40.8]  migrate_vma_finalize+0x15/0x20",
    "[   40.8]  svm_migrate_ram_to_vram.part.0+0x29a/0x3b0 [amdgpu]",
    "[   40.8]  svm_range_restore_pages+0xadb/0xb70 [amdgpu]",
    "[   40.9] ---[ end trace 0000000000000000 ]---",
    "[   40.9] Kernel panic - not syncing: Fatal exception",
};

// The watchdog's reports, without most of what they say.
const Text evicts{
    "INFO: task kworker/0:1:10 blocked for more than 30 seconds.",
    "Workqueue: events evict_process_worker [amdgpu]",
    " ? __flush_work+0x274/0x4b0",
    " __flush_work+0x2d6/0x4b0",
    " flush_delayed_work+0x2d/0x60",
    " evict_process_worker+0x36/0xe0 [amdgpu]",
};
const Text restores{
    "INFO: task kworker/u4:1:22 blocked for more than 30 seconds.",
    "Workqueue: kfd_restore_wq restore_process_worker [amdgpu]",
    " __flush_work+0x2d6/0x4b0",
    " __cancel_work_timer+0xe0/0x170",
    " cancel_delayed_work_sync+0xe/0x10",
    " kfd_process_notifier_release+0x8e/0xd0 [amdgpu]",
    " __mmu_notifier_release+0x83/0x1f0",
    " exit_mmap+0x2c3/0x390",
    " __mmput+0x4e/0x120",
    " mmput+0x2d/0x40",
    " restore_process_queues_nocpsch+0x1be/0x270 [amdgpu]",
    " kfd_process_restore_queues+0x4f/0x90 [amdgpu]",
    " restore_process_worker+0x3e/0x80 [amdgpu]",
};
const Text creates{
    "[   62.2] INFO: task lab-agent:96 blocked for more than 30 seconds.",
    "[   62.2]  __mutex_lock+0x527/0xc10",
    "[   62.2]  ? register_process+0x55/0x120 [amdgpu]",
    "[   62.2]  mutex_lock_nested+0x16/0x20",
    "[   62.2]  register_process+0x55/0x120 [amdgpu]",
    "[   62.2]  pqm_create_queue+0x360/0x3d0 [amdgpu]",
    "[   62.2] INFO: lockdep is turned off.",
};

const Text warning{"------------[ cut here ]------------", "WARNING: CPU: 1 PID: 7 at mm/hmm.c:1", "Call Trace:"};

Text names(const SortedReports& sorted) {
  Text result;
  for (const KnownFinding* finding : sorted.known) result.push_back(finding->name);
  return result;
}

SortedReports sorted(const Text& lines, const char* kernel = "6.1.192-faultline #1 SMP", const char* target = "amdgpu:0000/svm") {
  return sort_reports(lines, target, kernel);
}

Text joined(Text lines, const Text& more) {
  lines.insert(lines.end(), more.begin(), more.end());
  return lines;
}

Text replaced(Text lines, const std::string& from, const std::string& to) {
  for (std::string& line : lines)
    if (const std::size_t at = line.find(from); at != line.npos) line.replace(at, from.size(), to);
  return lines;
}

TEST(KnownFindings, AReportIsToldByItsName) {
  EXPECT_EQ(names(sorted(lock_cycle)), (Text{"lock-cycle"}));
  EXPECT_EQ(sorted(lock_cycle).other, Text{});
  EXPECT_EQ(names(sorted(reused_page)), (Text{"reused-page"}));
  EXPECT_EQ(sorted(reused_page).other, Text{});
}

TEST(KnownFindings, OnlyOnTheTargetAndTheKernelsThatHaveIt) {
  for (const char* kernel : {"5.10.1", "6.0.9"}) EXPECT_EQ(sorted(lock_cycle, kernel).other, lock_cycle) << kernel;
  for (const char* kernel : {"6.12.117", "7.3.4"}) EXPECT_EQ(sorted(lock_cycle, kernel).other, Text{}) << kernel;
  EXPECT_EQ(sorted(lock_cycle, "6.1.192", "dmirror").other, lock_cycle);
  KnownFinding fixed = known_findings()[0];
  fixed.fixed_in = "6.1.200 7.4+";
  EXPECT_TRUE(has_finding(fixed, "amdgpu", "6.12.1"));
  EXPECT_FALSE(has_finding(fixed, "amdgpu", "6.1.200"));
  EXPECT_FALSE(has_finding(fixed, "amdgpu", "7.5"));
}

TEST(KnownFindings, AnotherCycleIsAFinding) {
  for (const Text& other : {
           replaced(lock_cycle, "#2 (mmu_notifier_invalidate_range_start)", "#2 (&svms->lock)"),     // another lock in it
           replaced(lock_cycle, "-> #2 (mmu_notifier_invalidate_range_start){+.+.}-{0:0}:", ""),     // a shorter one
           joined(replaced(lock_cycle, "#3 (", "#4 ("), {"-> #3 (&prange->migrate_mutex){+.+.}:"}),  // a longer one
           replaced(lock_cycle, "amdgpu_vram_mgr_new", "amdgpu_vram_mgr_reserve_range"),             // another way into it
           replaced(lock_cycle, "possible circular locking", "possible recursive locking"),
           Text(lock_cycle.begin(), lock_cycle.end() - 3),  // cut off: what it would have said is not known
       })
    EXPECT_EQ(sorted(other).other, other);
}

TEST(KnownFindings, AnotherBugIsAFinding) {
  for (const Text& other : {
           replaced(reused_page, "svm_range_restore_pages", "svm_range_set_attr"),
           replaced(reused_page, "mm.h:780", "page-flags.h:780"),
           replaced(reused_page, "migrate_device_finalize", "do_swap_page"),
       })
    EXPECT_EQ(sorted(other).other, other);
}

TEST(KnownFindings, HungTasksThatWaitForTheOneThatWaitsForItself) {
  for (const Text& known : {
           joined(joined(evicts, restores), creates), restores, joined(creates, restores),
           joined(restores, replaced(creates, " register_process", " process_termination_nocpsch")),
           joined(joined(restores, creates), joined(restores, creates)),  // ... told again
       }) {
    EXPECT_EQ(names(sorted(known)), (Text{"self-wait"}));
    EXPECT_EQ(sorted(known).other, Text{});
  }
}

TEST(KnownFindings, AnotherHungTaskIsAFinding) {
  for (const Text& other : {
           evicts,
           creates,
           joined(evicts, creates),  // nothing says why
           joined(restores, replaced(evicts, "evict_process_worker+", "svm_range_restore_work+")),
           joined(restores, replaced(creates, " register_process", " kfd_ioctl")),  // another lock
           joined(restores, {creates[0], creates[2], "io_schedule+0x3e/0x60"}),     // the function is not surely called
           joined({creates[0], " io_schedule+0x3e/0x60"}, restores),
           joined(restores, {creates[0]}),  // cut off
           replaced(restores, " restore_process_queues_nocpsch", " svm_range_restore_work"),
           replaced(restores, " mmput+", " ? mmput+"),
           replaced(restores, "cancel_delayed_work_sync", "synchronize_srcu"),
           Text(restores.begin(), restores.end() - 3),
       })
    EXPECT_EQ(sorted(other).other, other);
  EXPECT_EQ(sorted(joined(restores, warning)).other, (Text{warning[1], warning[2]}));
  EXPECT_EQ(names(sorted(joined(lock_cycle, restores))), (Text{"lock-cycle", "self-wait"}));
}

TEST(KnownFindings, AKnownReportHidesNoOther) {
  EXPECT_EQ(names(sorted(joined(lock_cycle, warning))), (Text{"lock-cycle"}));
  EXPECT_EQ(sorted(joined(lock_cycle, warning)).other, (Text{warning[1], warning[2]}));
  EXPECT_EQ(sorted(joined(warning, lock_cycle)).other, joined(warning, {lock_cycle[0]}));
  EXPECT_EQ(names(sorted(joined(lock_cycle, reused_page))), (Text{"lock-cycle", "reused-page"}));
  // An oops that begins without a word of health_lines.h ends in a panic, which is no part of lockdep's report.
  const Text panic{"divide error: 0000 [#1] PREEMPT SMP", "Kernel panic - not syncing: Fatal exception"};
  EXPECT_EQ(sorted(joined(lock_cycle, panic)).other, (Text{panic[1]}));
}

TEST(KnownFindings, WhatAGpuReportsIsKeptWhole) {
  const Text hung{"GPU 0000:00:03.0 (amdgpu) hung", "amdgpu: ring sdma0 timeout"};
  EXPECT_EQ(sorted(hung).other, hung);
}

TEST(KnownFindings, EachIsExplained) {
  for (const KnownFinding& finding : known_findings())
    EXPECT_TRUE(std::filesystem::exists("results/findings/" + std::string(finding.name) + ".md")) << finding.name;
}

}  // namespace
}  // namespace faultline
