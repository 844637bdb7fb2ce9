// The pinned target against the kernel of this machine.
#include "drm_glue/pinned.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "drm_glue/pagemap.h"
#include "harness/executor/test_support.h"

namespace faultline {
namespace {

constexpr std::size_t page_size = 4096;

class Pinned : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = target_.unavailable(); !why.empty()) GTEST_SKIP() << why;
    device_ = target_.open(0);
    ASSERT_NE(device_, nullptr);
    memory_ = mmap(nullptr, pages * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
  }
  void TearDown() override {
    if (memory_ != MAP_FAILED) munmap(memory_, pages * page_size);
  }

  static constexpr int pages = 3;
  std::uintptr_t page(int index) const { return reinterpret_cast<std::uintptr_t>(memory_) + index * page_size; }
  volatile std::uint64_t& word(int index) const { return *reinterpret_cast<volatile std::uint64_t*>(page(index)); }

  PinnedTarget target_;
  std::unique_ptr<DeviceHandle> device_;
  void* memory_ = MAP_FAILED;
};

TEST_F(Pinned, StoresAndLoads) {
  word(0) = 7;
  ASSERT_EQ(device_->pin(page(0), 2, false), 0);
  EXPECT_EQ(device_->load(page(0)).value, 7u);
  EXPECT_EQ(device_->store(page(1), 9).error, 0);
  EXPECT_EQ(word(1), 9u);
  EXPECT_EQ(device_->load(page(1)).value, 9u);
}

TEST_F(Pinned, GoesThroughThePagesAndNotTheTables) {
  word(0) = 7;
  ASSERT_EQ(device_->pin(page(0), 1, false), 0);
  ASSERT_EQ(madvise(memory_, page_size, MADV_DONTNEED), 0);
  EXPECT_EQ(word(0), 0u);
  EXPECT_EQ(device_->load(page(0)).value, 7u);
  EXPECT_EQ(device_->store(page(0), 8).error, 0);
  EXPECT_EQ(word(0), 0u);
  EXPECT_EQ(device_->load(page(0)).value, 8u);
}

TEST_F(Pinned, RefusesWhatTheKernelRefuses) {
  EXPECT_EQ(device_->load(page(0)).error, EFAULT) << "not pinned, and no page is";
  ASSERT_EQ(device_->pin(page(1), 1, false), 0);
  EXPECT_EQ(device_->store(page(0), 1).error, EFAULT) << "not pinned, but another page is";
  EXPECT_EQ(device_->pin(page(1), 1, false), EBUSY);
  EXPECT_EQ(device_->unpin(page(0), 2), ENXIO);
  EXPECT_EQ(device_->load(page(1)).error, EFAULT) << "unpinned with the others of its range";
  ASSERT_EQ(mprotect(reinterpret_cast<void*>(page(2)), page_size, PROT_READ), 0);
  EXPECT_EQ(device_->pin(page(0), 3, false), EFAULT);
  EXPECT_EQ(device_->load(page(0)).error, EFAULT) << "all pages or none";
  EXPECT_EQ(device_->migrate(page(0), 1, true), ENOTSUP);
}

// A plain reference to an exclusive page: the owner's stores show through it.
TEST_F(Pinned, ReadsThroughAReference) {
  word(0) = 7;
  ASSERT_EQ(device_->pin(page(0), 1, true), 0);
  EXPECT_EQ(device_->pin(page(0), 1, true), EBUSY);
  EXPECT_EQ(device_->pin(page(0), 1, false), EBUSY);
  EXPECT_EQ(device_->load(page(0)).value, 7u);
  EXPECT_EQ(device_->store(page(0), 8).error, EFAULT);
  word(0) = 9;
  EXPECT_EQ(device_->load(page(0)).value, 9u);
  ASSERT_EQ(madvise(memory_, page_size, MADV_DONTNEED), 0);
  EXPECT_EQ(device_->load(page(0)).value, 9u);
  EXPECT_EQ(device_->unpin(page(0), 1), 0);
  EXPECT_EQ(device_->load(page(0)).error, EFAULT);
  ASSERT_EQ(munmap(reinterpret_cast<void*>(page(2)), page_size), 0);
  EXPECT_EQ(device_->pin(page(2), 1, true), EFAULT);
}

// A store that the kernel refused leaves nothing in the pipe for the next load.
TEST_F(Pinned, ARefusedStoreIsForgotten) {
  word(0) = 7;
  ASSERT_EQ(device_->pin(page(0), 1, false), 0);
  EXPECT_EQ(device_->store(page(1), 99).error, EFAULT);
  EXPECT_EQ(device_->load(page(0)).value, 7u);
}

TEST_F(Pinned, RingsAreUsedAgain) {
  constexpr int more_than_descriptors = 3000;
  for (int i = 0; i < more_than_descriptors; ++i) {
    ASSERT_EQ(device_->pin(page(0), 3, false), 0);
    ASSERT_EQ(device_->unpin(page(0), 3), 0);
  }
}

TEST_F(Pinned, RunsAScenario) {
  PagemapFrames frames(real_kernel());
  RunPlan plan;
  plan.iterations = 100;
  plan.deadline_ms = 30'000;
  const Seen seen = run_text(R"(scenario s
device d: pinned
process P
  a: 2 pages anon rw = 1
thread P.gpu on d
  p0 = pin a
  fork C
  s0 = store a[1] 9
  r0 = load a[1] via cpu
process C
  pin a via d
  r1 = load a[1] via d
observe same(P:a[0], C:a[0])
)",
                             target_, plan, &frames);
  expect_clean(seen, 100);
  EXPECT_EQ(seen.only("P.gpu:p0"), "ok");
  EXPECT_EQ(seen.only("P.gpu:r0"), "9");
  EXPECT_EQ(seen.only("C:r1"), "1");
  const bool sees_frames = target_.capabilities().sight.identity;
  EXPECT_EQ(seen.only("same(P:a[0],C:a[0])"), sees_frames ? "different" : "(none)");
}

TEST_F(Pinned, SaysThatAChildCannotUseIt) {
  const Seen seen = run_text(R"(scenario s
device d: pinned
process P
  a: 1 page anon rw = 1
thread P.t
  fork C
process C
  load a[0] via P.d
)",
                             target_, RunPlan{});
  EXPECT_EQ(seen.iterations, 0u);
  EXPECT_EQ(seen.errors.size(), 1u);
}

// The answer of unavailable() in a process in which system call `number` fails with `error`.
std::string unavailable_without(long number, int error) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(filter), filter};
    std::string why = "no filter";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
      why = PinnedTarget().unavailable();
    _exit(write(ends[1], why.data(), why.size()) < 0);
  }
  close(ends[1]);
  char text[512];
  const ssize_t got = read(ends[0], text, sizeof text);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return {text, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

TEST_F(Pinned, SaysWhatIsMissing) {
  EXPECT_EQ(unavailable_without(SYS_io_uring_setup, ENOSYS),
            "no io_uring: the kernel needs CONFIG_IO_URING (5.1 or later), or a filter hides it");
  EXPECT_EQ(unavailable_without(SYS_io_uring_setup, EPERM),
            "io_uring is forbidden here: sysctl kernel.io_uring_disabled, or a filter of the container");
  EXPECT_EQ(unavailable_without(SYS_io_uring_register, ENOMEM),
            "io_uring pins no page: Cannot allocate memory; "
            "more locked memory would help (ulimit -l), or root");
  EXPECT_EQ(unavailable_without(SYS_io_uring_enter, EPERM), "io_uring does not write to a fixed buffer: Operation not permitted");
  EXPECT_EQ(unavailable_without(SYS_vmsplice, EPERM), "vmsplice takes no page: Operation not permitted");
}

}  // namespace
}  // namespace faultline
