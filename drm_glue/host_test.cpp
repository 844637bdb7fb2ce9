// The host target, run by the executor, with page identity from pagemap.
#include "drm_glue/host.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "drm_glue/pagemap.h"
#include "drm_glue/swap.h"
#include "harness/executor/test_support.h"

namespace faultline {
namespace {

Seen run_on_host(const std::string& text, std::uint64_t iterations) {
  HostTarget target;
  PagemapFrames frames(real_kernel());
  RunPlan plan;
  plan.iterations = iterations;
  plan.deadline_ms = 30'000;
  return run_text(text, target, plan, &frames);
}

TEST(Swap, IsWhatProcSwapsListsBelowItsHeading) {
  EXPECT_FALSE(lists_swap(""));
  EXPECT_FALSE(lists_swap("Filename\tType\tSize\tUsed\tPriority\n"));
  EXPECT_TRUE(lists_swap("Filename\tType\tSize\tUsed\tPriority\n/dev/vda2 partition 1 0 -2\n"));
  FaultyKernel kernel(real_kernel());
  kernel.fail(FaultyKernel::Call::open, ENOENT);
  EXPECT_FALSE(has_swap(kernel));
}

class Identity : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = frames_unavailable(real_kernel()); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_F(Identity, ForkSharesPagesUntilAStore) {
  const Seen seen = run_on_host(R"(scenario s
process P
  a: 2 pages anon rw = 1
  s: 1 page shared rw = 1
  n: 1 page anon rw
thread P.t
  fork C
  store a[1] 2
process C
  load n[0]
observe same(P:a[0],C:a[0]) same(P:a[1],C:a[1]) same(P:s[0],C:s[0]) same(P:n[0],C:n[0]) same(P:a[0],P:a[1])
)",
                                100);
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.only("same(P:a[0],C:a[0])"), "same");
  EXPECT_EQ(seen.only("same(P:a[1],C:a[1])"), "different");
  EXPECT_EQ(seen.only("same(P:n[0],C:n[0])"), "-");
  EXPECT_EQ(seen.only("same(P:a[0],P:a[1])"), "different");
  // fork() does not copy PTEs of shared memory: the child gets them by its own faults.
  EXPECT_EQ(seen.only("same(P:s[0],C:s[0])"), "-");
}

TEST_F(Identity, IdentityIsReadBeforeValuesBringPagesIn) {
  const Seen seen = run_on_host(R"(scenario s
process P
  s: 1 page shared rw = 1
thread P.t
  fork C
process C
observe C:s[0] same(P:s[0],C:s[0])
)",
                                100);
  EXPECT_EQ(seen.only("C:s[0]"), "1");
  EXPECT_EQ(seen.only("same(P:s[0],C:s[0])"), "-");
}

TEST_F(Identity, TheDeadCompareAsNothing) {
  const Seen seen = run_on_host(R"(scenario s
process P
  a: 1 page anon rw = 1
thread P.t
  fork C
  wait C
process C
  exit
observe same(P:a[0],C:a[0])
)",
                                50);
  EXPECT_EQ(seen.only("same(P:a[0],C:a[0])"), "-");
}

TEST(Host, DeviceAccessesAreThoseOfTheThread) {
  const Seen seen = run_on_host(R"(scenario s
device d: shares-cpu-tables
process P
  a: 2 pages anon rw = 1
  n: 1 page none
thread P.gpu on d
  r0 = load a[0]
  s0 = store a[1] 9
  r1 = load n[0]
  r2 = load a[1] via cpu
)",
                                50);
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.only("P.gpu:r0"), "1");
  EXPECT_EQ(seen.only("P.gpu:s0"), "ok");
  EXPECT_EQ(seen.only("P.gpu:r1"), "SIGSEGV");
  EXPECT_EQ(seen.only("P.gpu:r2"), "9");
  EXPECT_EQ(seen.only("P.gpu:r0.faults"), "(none)");
}

TEST(Host, RefusesWhatItCannotShow) {
  const Seen seen = run_on_host(R"(scenario s
device d: recoverable
process P
  a: 1 page anon rw = 1
thread P.t
  migrate a to d
)",
                                5);
  EXPECT_EQ(seen.iterations, 0u);
  EXPECT_EQ(seen.errors.size(), 1u);
}

TEST(Pagemap, FailuresGiveNothing) {
  FaultyKernel faulty(real_kernel());
  PagemapFrames frames(faulty);
  const auto here = reinterpret_cast<std::uintptr_t>(&faulty);
  faulty.fail(FaultyKernel::Call::open, EACCES);
  EXPECT_EQ(frames.frame(getpid(), here), std::nullopt);
  faulty.fail(FaultyKernel::Call::pread, EIO);
  EXPECT_EQ(frames.frame(getpid(), here), std::nullopt);
  EXPECT_EQ(frames.frame(getpid(), 0x10'0000'0000), std::nullopt) << "nothing is mapped there";
  faulty.fail(FaultyKernel::Call::open, EACCES);
  EXPECT_NE(frames_unavailable(faulty), "");
}

}  // namespace
}  // namespace faultline
