#include "drm_glue/kernel_log.h"

#include <errno.h>
#include <string.h>

#include <gtest/gtest.h>

namespace faultline {
namespace {

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
  for (int i = 0; i < 220; ++i) collector.feed("after " + std::to_string(i));
  const auto reports = collector.take(false);
  ASSERT_EQ(reports.size(), 1u);
  ASSERT_EQ(reports[0].size(), 3u + 1 + 200);
  EXPECT_EQ(reports[0][0], "before 8");
  EXPECT_EQ(reports[0][2], "------------[ cut here ]------------");
  EXPECT_EQ(reports[0][3], "WARNING: here");
  EXPECT_EQ(reports[0].back(), "after 199");
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

// Gives one record per read, as /dev/kmsg does.
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
