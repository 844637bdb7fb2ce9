// The texts follow the format strings of Linux 6.1 and of 6.19 (kernel/panic.c, mm/kasan/report.c, kernel/locking/lockdep.c,
// kernel/watchdog.c, kernel/hung_task.c, mm/page_alloc.c, arch/x86/kernel/dumpstack.c, arch/x86/mm/fault.c ...).
#include "harness/run/report_title.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

using Text = std::vector<std::string>;

struct Sample {
  const char* name;
  const char* title;
  Text lines;
};

const Sample samples[] = {
    {"Warning",
     "WARNING in mmu_interval_read_begin",
     {"------------[ cut here ]------------",
      "WARNING: CPU: 1 PID: 77 at mm/mmu_notifier.c:231 mmu_interval_read_begin+0x1c5/0x2a0", "Modules linked in:",
      "CPU: 1 PID: 77 Comm: agent Not tainted 6.1.192-faultline #1", "RIP: 0010:mmu_interval_read_begin+0x1c5/0x2a0",
      "Call Trace:", " <TASK>", " ? __warn+0x7d/0x140", " dmirror_fault+0x13f/0x2d0"}},
    {"WarningSince619",
     "WARNING in mmu_interval_read_begin",
     {"WARNING: mm/mmu_notifier.c:231 at mmu_interval_read_begin+0x1e/0x9, CPU#0: agent/1203", "Modules linked in: x"}},
    {"WarningWithItsCondition",
     "WARNING in hmm_range_fault",
     {"WARNING: [!range->notifier] mm/hmm.c:12 at hmm_range_fault+0x1e/0x9, CPU#0: agent/1203"}},
    {"WarningWithoutAFunction", "WARNING at mm/hmm.c:1", {"WARNING: CPU: 1 PID: 7 at mm/hmm.c:1", "Call Trace:"}},
    {"WarningOfACounter",
     "WARNING in dmirror_fops_release",
     {"refcount_t: underflow; use-after-free.", "WARNING: CPU: 1 PID: 77 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110",
      "RIP: 0010:refcount_warn_saturate+0xba/0x110", "Call Trace:", " <TASK>", " dmirror_fops_release+0x35/0x40",
      " __fput+0x8c/0x250"}},
    {"Kasan",
     "KASAN: use-after-free in dmirror_fault",
     {"==================================================================",
      "BUG: KASAN: use-after-free in dmirror_fault+0x2ba/0x2d0 [test_hmm]",
      "Read of size 8 at addr ffff888012345678 by task agent/77", "CPU: 1 PID: 77 Comm: agent Tainted: G    B"}},
    {"KasanSince63",
     "KASAN: slab-use-after-free in dmirror_fault",
     {"BUG: KASAN: slab-use-after-free in dmirror_fault+0x1/0x2d0", "Write of size 4 at addr ffff888099999999 by task x/1"}},
    {"KasanInAHelper",
     "KASAN: slab-out-of-bounds in dmirror_do_read",
     {"BUG: KASAN: slab-out-of-bounds in memcpy+0x20/0x60", "Read of size 4096 at addr ffff888099999999 by task x/1", "",
      "CPU: 0 PID: 77 Comm: agent", "Call Trace:", " <TASK>", " dump_stack_lvl+0x34/0x44", " print_report+0x171/0x4a6",
      " ? kasan_complete_mode_report_info+0x7f/0x1a0", " kasan_report+0xad/0x130", " kasan_check_range+0x140/0x1b0",
      " memcpy+0x20/0x60", " dmirror_do_read.isra.0+0x7e/0x180"}},
    {"Kfence",
     "KFENCE: use-after-free read in svm_range_unmap",
     {"BUG: KFENCE: use-after-free read in svm_range_unmap+0x12/0x30 [amdgpu]"}},
    {"Kcsan",
     "KCSAN: data-race in hmm_vma_walk_pmd / zap_pte_range",
     {"BUG: KCSAN: data-race in hmm_vma_walk_pmd+0x12/0x30 / zap_pte_range+0x11/0x90"}},
    {"Ubsan",
     "UBSAN: array-index-out-of-bounds in dmirror_snapshot",
     {"UBSAN: array-index-out-of-bounds in lib/test_hmm.c:1015:7", "index 64 is out of range for type 'long unsigned int [64]'",
      "CPU: 1 PID: 7 Comm: x", "Call Trace:", " dump_stack_lvl+0x34/0x44", " ubsan_epilogue+0x5/0x40",
      " __ubsan_handle_out_of_bounds.cold+0x42/0x47", " dmirror_snapshot+0x4/0x10"}},
    {"Deadlock",
     "possible deadlock in dmirror_interval_invalidate",
     {"======================================================", "WARNING: possible circular locking dependency detected",
      "6.1.192-faultline #1 Not tainted", "------------------------------------------------------",
      "agent/77 is trying to acquire lock:",
      "ffff88803f8474a0 (&dmirror->mutex){+.+.}-{3:3}, at: dmirror_interval_invalidate+0x4c/0x90", "",
      "but task is already holding lock:", "ffffffff82e51bd8 (fs_reclaim){+.+.}-{0:0}, at: balance_pgdat+0x6d3/0x1250"}},
    {"Recursion",
     "possible deadlock in dmirror_read",
     {"WARNING: possible recursive locking detected",
      "agent/77 is trying to acquire lock:", "ffff88803f8474a0 (&dmirror->mutex){+.+.}-{3:3}, at: dmirror_read+0x4c/0x90"}},
    {"LockState",
     "inconsistent lock state in kfd_ioctl_svm",
     {"WARNING: inconsistent lock state", "6.1.192 #1 Not tainted", "inconsistent {SOFTIRQ-ON-W} -> {IN-SOFTIRQ-W} usage.",
      "agent/9 [HC0[0]:SC1[1]:HE1:SE0] takes:", "ffff88800 (&x->lock){+.?.}-{2:2}, at: kfd_ioctl_svm+0x2/0x9"}},
    {"Rcu",
     "WARNING: suspicious RCU usage in mmu_notifier_register",
     {"WARNING: suspicious RCU usage", "6.1.192 #1 Not tainted", "mm/mmu_notifier.c:77 suspicious rcu_dereference_check() usage!",
      "1 lock held by agent/9:", " #0: ffff8880 (&mm->mmap_lock){++++}-{3:3}, at: do_munmap+0x1/0x2",
      "Call Trace:", " dump_stack_lvl+0x34/0x44", " lockdep_rcu_suspicious.cold+0x4/0x9", " mmu_notifier_register+0x34/0x90"}},
    {"Sleeps",
     "BUG: sleeping function called from invalid context in dmirror_interval_invalidate",
     {"BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580",
      "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 77, name: agent",
      "1 lock held by agent/77:", " #0: ffff (ptlock_ptr(page)#2){+.+.}-{2:2}, at: try_to_unmap_one+0x1/0x2",
      "Call Trace:", " <TASK>", " dump_stack_lvl+0x5b/0x77", " __might_resched.cold+0x120/0x141", " __mutex_lock+0x7d/0xb80",
      " dmirror_interval_invalidate+0x51/0x90"}},
    {"SoftLockup",
     "BUG: soft lockup in dmirror_range_fault",
     {"watchdog: BUG: soft lockup - CPU#1 stuck for 67s! [agent:77]", "Modules linked in:", "CPU: 1 PID: 77 Comm: agent",
      "RIP: 0010:dmirror_range_fault+0x15/0x40", "Call Trace:", " dmirror_fault+0x1/0x2"}},
    {"SoftLockupInALock",
     "BUG: soft lockup in mn_itree_invalidate",
     {"watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [agent:9]", "RIP: 0010:native_queued_spin_lock_slowpath+0x15/0x40",
      "Call Trace:", " do_raw_spin_lock+0x1/0x2", " _raw_spin_lock+0x1/0x2", " mn_itree_invalidate+0x1/0x2"}},
    {"Hung",
     "INFO: task hung in dmirror_fault",
     {"INFO: task agent:77 blocked for more than 30 seconds.", "      Not tainted 6.1.192-faultline #1",
      "\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.",
      "task:agent           state:D stack:0     pid:77    ppid:70     flags:0x00004002", "Call Trace:", " <TASK>",
      " __schedule+0x2e4/0xc40", " schedule+0x5d/0xe0", " schedule_preempt_disabled+0x14/0x30", " __mutex_lock+0x3c8/0xb80",
      " ? dmirror_x+0x1/0x2", " dmirror_fault+0x3e/0x80"}},
    {"Stall",
     "INFO: rcu detected stall in zap_pte_range",
     {"rcu: INFO: rcu_preempt self-detected stall on CPU",
      "rcu: \t1-....: (59999 ticks this GP) idle=8b4c/1/0x4000000000000000 softirq=1/1 fqs=14986", "CPU: 1 PID: 77 Comm: agent",
      "RIP: 0010:zap_pte_range+0x1d2/0x9a0"}},
    {"PageState",
     "BUG: Bad page state: nonzero mapcount",
     {"BUG: Bad page state in process agent  pfn:3ad41",
      "page:000000000ad41000 refcount:0 mapcount:1 mapping:0 index:0x7f pfn:0x3ad41", "page dumped because: nonzero mapcount",
      "Call Trace:", " dump_stack_lvl+0x34/0x44", " bad_page.cold+0x5/0x9"}},
    {"RssCounter",
     "BUG: Bad rss-counter state of MM_ANONPAGES",
     {"BUG: Bad rss-counter state mm:00000000deadbeef type:MM_ANONPAGES val:1"}},
    {"NullPointer",
     "BUG: kernel NULL pointer dereference in hmm_vma_walk_pmd",
     {"BUG: kernel NULL pointer dereference, address: 0000000000000008", "#PF: supervisor read access in kernel mode",
      "Oops: 0000 [#1] PREEMPT SMP", "CPU: 0 PID: 77 Comm: agent", "RIP: 0010:hmm_vma_walk_pmd+0x51/0x700"}},
    {"PageFault",
     "BUG: unable to handle page fault in kfree",
     {"BUG: unable to handle page fault for address: ffffc90000001000", "Oops: 0002 [#1] PREEMPT SMP NOPTI",
      "RIP: 0010:kfree+0x51/0x700"}},
    {"Protection",
     "general protection fault in dmirror_do_update",
     {"general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] PREEMPT SMP",
      "RIP: 0010:dmirror_do_update+0x51/0x700"}},
    {"ProtectionSince610",
     "general protection fault in dmirror_do_update",
     {"Oops: general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1] SMP KASAN",
      "KASAN: null-ptr-deref in range [0x0000000000000008-0x000000000000000f]", "RIP: 0010:dmirror_do_update+0x51/0x700",
      "Kernel panic - not syncing: Fatal exception"}},
    {"Bug",
     "kernel BUG in migrate_device_finalize",
     {"[   40.8] kernel BUG at include/linux/mm.h:780!", "[   40.8] invalid opcode: 0000 [#1] PREEMPT SMP",
      "[   40.8] RIP: 0010:migrate_device_finalize+0x2d9/0x320", "[   40.9] Kernel panic - not syncing: Fatal exception"}},
    {"List",
     "list corruption in dmirror_fops_release",
     {"list_del corruption. prev->next should be ffff8880, but was dead000000000100", "------------[ cut here ]------------",
      "kernel BUG at lib/list_debug.c:59!", "RIP: 0010:__list_del_entry_valid.cold+0x23/0x6f",
      "Call Trace:", " dmirror_fops_release+0x51/0x90"}},
    {"Panic",
     "Kernel panic - not syncing: Attempted to kill init! exitcode=#",
     {"[   12.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"}},
    {"Other", "BUG: workqueue lockup - pool cpus=# node=# flags=#", {"BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0"}},
    {"OfTheBench", "GPU 0000:03:00.0 was reset", {"GPU 0000:03:00.0 was reset", "more"}},
};

class Title : public testing::TestWithParam<Sample> {};
TEST_P(Title, SaysWhatAndWhere) {
  EXPECT_EQ(report_title(GetParam().lines), GetParam().title);
  EXPECT_EQ(titled_reports(GetParam().lines).size(), 1u) << "it is one report";
}
INSTANTIATE_TEST_SUITE_P(Kernels, Title, testing::ValuesIn(samples), [](const auto& row) { return std::string(row.param.name); });

// The same bug, met by another task at another time, in a kernel that was built again.
std::string elsewhere(std::string line) {
  for (const auto& [from, to] : {std::pair{"77", "4130"},
                                 {"ffff8880", "ffff8881a"},
                                 {"+0x", "+0xa"},
                                 {"CPU#1", "CPU#0"},
                                 {"stuck for 67s", "stuck for 143s"},
                                 {"CPU: 1", "CPU: 0"},
                                 {"agent", "lab-agent"}})
    for (std::size_t at = line.find(from); at != line.npos; at = line.find(from, at + std::string(to).size()))
      line.replace(at, std::string(from).size(), to);
  return "[  512.734621] " + line;
}
TEST_P(Title, IsTheSameElsewhere) {
  Text lines;
  for (const std::string& line : GetParam().lines) lines.push_back(elsewhere(line));
  if (std::string(GetParam().name) == "OfTheBench") return;  // in no kernel log
  EXPECT_EQ(report_title(lines), GetParam().title);
}

TEST(TitledReports, EqualOnesAreCounted) {
  Text lines;
  const auto add = [&](const Text& more) { lines.insert(lines.end(), more.begin(), more.end()); };
  add({"[1.0] WARNING: CPU: 1 PID: 7 at mm/hmm.c:1 f+0x1/0x9", "one"});
  add({"BUG: KASAN: use-after-free in g+0x1/0x2", "two"});
  add({"[2.0] WARNING: CPU: 0 PID: 8 at mm/hmm.c:1 f+0x1/0x9", "three"});
  add({"[3.0] WARNING: CPU: 0 PID: 9 at mm/hmm.c:9 other+0x1/0x9"});
  add({"[4.0] WARNING: CPU: 0 PID: 8 at mm/hmm.c:1 f+0x1/0x9", "four"});
  const std::vector<TitledReport> reports = titled_reports(lines);
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0].title, "WARNING in f");
  EXPECT_EQ(reports[0].count, 3u);
  EXPECT_EQ(reports[1].count, 1u);
  EXPECT_EQ(reports[2].title, "WARNING in other");
  EXPECT_EQ(told_once(lines), (Text{lines[0], "one", "3 times: WARNING in f", lines[2], "two", lines[6]}));
  EXPECT_TRUE(told_once({}).empty());
  EXPECT_TRUE(titled_reports({}).empty());
}

TEST(WithoutNumbers, KeepsWordsThatBeginLikeOnes) {
  EXPECT_EQ(without_numbers("add 12 to feed at 0xbeef, ffff8880"), "add # to feed at #, #");
}

}  // namespace
}  // namespace faultline
