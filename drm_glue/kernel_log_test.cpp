#include "drm_glue/kernel_log.h"

#include <errno.h>
#include <string.h>

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(HealthLines, Splats) {
  for (const char* line : {
           "WARNING: CPU: 1 PID: 77 at mm/memory.c:1234 zap_pte_range+0x1/0x2",
           "WARNING: possible circular locking dependency detected",
           "BUG: unable to handle page fault for address: ffff888000000000",
           "BUG: KASAN: slab-use-after-free in dmirror_fault+0x1/0x2",
           "BUG: Bad page state in process agent  pfn:1234",
           "BUG: Bad rss-counter state mm:00000000 type:MM_ANONPAGES val:1",
           "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
           "UBSAN: array-index-out-of-bounds in mm/hmm.c:1:2",
           "INFO: task faultline-agent:91 blocked for more than 30 seconds.",
           "rcu: INFO: rcu_preempt self-detected stall on CPU",
           "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [agent:91]",
           "inconsistent lock state",
           "list_del corruption. prev->next should be x, but was y",
           "Kernel panic - not syncing: sysrq triggered crash",
       })
    EXPECT_TRUE(is_health_line(line)) << line;
}

TEST(HealthLines, Chatter) {
  for (const char* line : {
           "HMM test module loaded. This is only for testing HMM.",
           "Call Trace:",
           "Linux version 6.1.0 (gcc) #1 SMP",
           "random: crng init done",
           "lab: agent starts",
           "INFO: lockdep is turned off.",
           "Warning: unable to open an initial console.",
           "added new 256 MB chunk (total 1 chunks, 256 MB) PFNs [0x0 0x1)",
       })
    EXPECT_FALSE(is_health_line(line)) << line;
}

TEST(Kmsg, Records) {
  EXPECT_EQ(kmsg_message("4,339,5140900,-;WARNING: x\n SUBSYSTEM=mm\n"), "WARNING: x");
  EXPECT_EQ(kmsg_message("12,339,5140900,-;WARNING: written by a person\n"), "");
  EXPECT_EQ(kmsg_message("nonsense"), "");
}

TEST(SplatCollector, AReportHasItsContext) {
  SplatCollector collector;
  for (int i = 0; i < 10; ++i) collector.feed("before " + std::to_string(i));
  EXPECT_FALSE(collector.open());
  collector.feed("------------[ cut here ]------------");
  collector.feed("WARNING: here");
  EXPECT_TRUE(collector.open());
  EXPECT_TRUE(collector.take(false).empty());
  for (int i = 0; i < 60; ++i) collector.feed("after " + std::to_string(i));
  const auto reports = collector.take(false);
  ASSERT_EQ(reports.size(), 1u);
  ASSERT_EQ(reports[0].size(), 3u + 1 + 40);
  EXPECT_EQ(reports[0][0], "before 8");
  EXPECT_EQ(reports[0][2], "------------[ cut here ]------------");
  EXPECT_EQ(reports[0][3], "WARNING: here");
  EXPECT_EQ(reports[0].back(), "after 39");
  EXPECT_FALSE(collector.open());
}

TEST(SplatCollector, AShortReportIsTakenWhenTheLogIsQuiet) {
  SplatCollector collector;
  collector.feed("BUG: x");
  collector.feed("line");
  const auto reports = collector.take(true);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0], (std::vector<std::string>{"BUG: x", "line"}));
  EXPECT_TRUE(collector.take(true).empty());
}

// Gives one record a read, as /dev/kmsg does.
class FakeLog : public Kernel {
 public:
  int open(const char*, int) override { return 5; }
  int close(int) override { return 0; }
  int ioctl(int, unsigned long, void*) override { return -1; }
  ssize_t read(int, void* buffer, std::size_t) override {
    if (drop) {
      drop = false;
      errno = EPIPE;
      return -1;
    }
    if (records.empty()) {
      errno = EAGAIN;
      return -1;
    }
    const std::string record = "4,1,2,-;" + records.front() + "\n";
    records.erase(records.begin());
    memcpy(buffer, record.data(), record.size());
    return static_cast<ssize_t>(record.size());
  }
  ssize_t write(int, const void*, std::size_t) override { return errno = EBADF, -1; }
  ssize_t pread(int, void*, std::size_t, off_t) override { return -1; }
  off_t seek(int, off_t, int) override { return 0; }
  void* mmap(void*, std::size_t, int, int, int, off_t) override { return nullptr; }
  int munmap(void*, std::size_t) override { return 0; }

  std::vector<std::string> records;
  bool drop = false;
};

TEST(KernelLog, ReportsWhatIsNew) {
  FakeLog fake;
  KernelLog log(fake);
  EXPECT_EQ(log.unavailable(), "");
  EXPECT_TRUE(log.health().empty());
  fake.records = {"hello", "BUG: x", "Call Trace:"};
  fake.drop = true;
  const auto reports = log.health();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0], (std::vector<std::string>{"hello", "BUG: x", "Call Trace:"}));
  EXPECT_TRUE(log.health().empty());
}

TEST(KernelLog, SaysWhyItCannotRead) {
  FakeLog fake;
  FaultyKernel faulty(fake);
  faulty.fail(FaultyKernel::Call::open, EPERM);
  KernelLog log(faulty);
  EXPECT_EQ(log.unavailable().substr(0, 35), "/dev/kmsg: Operation not permitted;");
  EXPECT_TRUE(log.health().empty());
}

}  // namespace
}  // namespace faultline
