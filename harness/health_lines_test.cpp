#include "harness/health_lines.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(HealthLines, AreTold) {
  for (const char* line : {
           "WARNING: CPU: 1 PID: 77 at mm/memory.c:1234 zap_pte_range+0x1/0x2",
           "WARNING: possible circular locking dependency detected",
           "BUG: unable to handle page fault for address: ffff888000000000",
           "BUG: KASAN: slab-use-after-free in dmirror_fault+0x1/0x2",
           "BUG: Bad page state in process agent  pfn:1234",
           "pagealloc: memory corruption",
           "BUG: Bad rss-counter state mm:00000000 type:MM_ANONPAGES val:1",
           "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
           "UBSAN: array-index-out-of-bounds in mm/hmm.c:1:2",
           "INFO: task faultline-agent:91 blocked for more than 30 seconds.",
           "rcu: INFO: rcu_preempt self-detected stall on CPU",
           "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [agent:91]",
           "inconsistent lock state",
           "list_del corruption. prev->next should be x, but was y",
           "Kernel panic - not syncing: sysrq triggered crash",
           "Watchdog detected hard LOCKUP on cpu 3",
           "kernel BUG at mm/memory.c:88!",
           "Internal error: Oops - BUG: 0 [#1] SMP",
           "Unable to handle kernel paging request at virtual address 0000dead",
           "[   1.0] WARNING: CPU: 0 PID: 1 at mm/hmm.c:1",
       })
    EXPECT_TRUE(is_health_line(line)) << line;
}

TEST(HealthLines, ChatterIsNot) {
  for (const char* line : {
           "HMM test module loaded. This is only for testing HMM.",
           "Call Trace:",
           "page dumped because: pagealloc: corrupted page details",
           "Linux version 6.1.0 (gcc) #1 SMP",
           "random: crng init done",
           "lab: agent starts",
           "lockdep: debugging enabled",
           "INFO: lockdep is turned off.",
           "Warning: unable to open an initial console.",
           "added new 256 MB chunk (total 1 chunks, 256 MB) PFNs [0x0 0x1)",
       })
    EXPECT_FALSE(is_health_line(line)) << line;
}

// A word that contains another word of the list would be superfluous: the shorter one finds the same lines.
TEST(HealthLines, NoWordIsThereTwice) {
  for (const std::string_view word : health_words) {
    int told = 0;
    for (const std::string_view other : health_words) told += word.find(other) != word.npos;
    EXPECT_EQ(told, 1) << word;
  }
}

}  // namespace
}  // namespace faultline
