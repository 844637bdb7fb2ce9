// Iterations that are made to hang, and some that only take long, on a real kernel.
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>

#include <gtest/gtest.h>

#include "harness/executor/area.h"
#include "harness/executor/process_watch.h"
#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

void nap(int milliseconds) { usleep(static_cast<useconds_t>(milliseconds) * 1000); }

// ---- Ways to hang.
void spin() {
  for (;;) asm volatile("pause" ::: "memory");
}

void sleep_on_a_futex() {
  static std::atomic<int> word{0};
  for (;;) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
}

// Waits in state D, but killable, as vfork() waits for its child. It makes the system call itself: a sanitizer would hold
// locks of the C library meanwhile, and block other threads that fork.
void wait_in_the_kernel() {
  if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, nullptr, nullptr, nullptr, nullptr) != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
}

constexpr const char* scenario = R"(scenario s
device d: shares-cpu-tables
process P
  a: 1 page anon rw = 0
thread P.gpu on d
  s = load a[0]
thread P.t
  r = load a[0]
  fork C
process C
  r = load a[0]
process Q
  b: 1 page anon rw = 0
)";

struct Alive : Seen {
  void alive() override { ++breaths; }
  int breaths = 0;
};

Alive run(WatchedTarget& target, std::uint64_t iterations, int deadline_ms = 300, int set_up_ms = 60'000) {
  RunPlan plan;
  plan.iterations = iterations;
  plan.deadline_ms = deadline_ms;
  plan.set_up_ms = set_up_ms;
  const Program program = parse(scenario, "test.scn");
  Alive seen;
  seen.schema = schema(program, target.capabilities().sight);
  execute(program, target, nullptr, plan, seen);
  EXPECT_TRUE(children_of(getpid()).empty()) << "a run leaves nothing behind";
  return seen;
}

const ThreadPlace* place(const Hang& hang, const std::string& thread) {
  for (const ThreadPlace& each : hang.threads)
    if (each.thread == thread) return &each;
  return nullptr;
}

std::string why(const Hang& hang) {
  std::string text;
  for (const std::string& line : hang.why) text += line + "\n";
  return text;
}

// Expects a certain hang with a full report. The run ends, because the hang came back.
void expect_hang(const Alive& seen, const std::string& state, const std::string& evidence) {
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.iterations, 0u);
  ASSERT_EQ(seen.hangs.size(), 1u);
  const Hang& hang = seen.hangs[0];
  EXPECT_FALSE(hang.stuck || hang.slow || hang.once) << why(hang);
  EXPECT_EQ(hang.set_up, "");
  const ThreadPlace* const gpu = place(hang, "P.gpu");
  ASSERT_NE(gpu, nullptr);
  EXPECT_EQ(gpu->statement, "s (line 6)");
  EXPECT_EQ(gpu->state, state);
  EXPECT_EQ(gpu->process, "P");
  ASSERT_NE(place(hang, "P.t"), nullptr);
  EXPECT_EQ(place(hang, "P.t")->statement, "");
  ASSERT_NE(place(hang, "C"), nullptr);
  const auto of_q = std::ranges::find(hang.threads, "Q", &ThreadPlace::process);
  EXPECT_NE(of_q, hang.threads.end()) << "a process without a thread of the scenario";
  EXPECT_NE(why(hang).find(evidence), std::string::npos) << why(hang);
  EXPECT_NE(why(hang).find("it hung again"), std::string::npos) << why(hang);
  EXPECT_NE(why(hang).find("a fresh process that maps a page, stores, forks and loads took"), std::string::npos) << why(hang);
}

TEST(Hangs, AThreadThatSpins) {
  WatchedTarget target;
  target.at_load = [](int) { spin(); };
  expect_hang(run(target, 3), "R", "of CPU time without getting on");
}

TEST(Hangs, AThreadThatSleepsForEver) {
  WatchedTarget target;
  target.at_load = [](int) { sleep_on_a_futex(); };
  expect_hang(run(target, 3), "S", "none of its tasks got CPU time, or waited for a CPU");
}

TEST(Hangs, AThreadThatIsStuckInTheKernel) {
  WatchedTarget target;
  target.at_load = [](int) { wait_in_the_kernel(); };
  expect_hang(run(target, 3), "D", "none of its tasks got CPU time, or waited for a CPU");
}

// The processes of the scenario have opened the device. After that no other process can.
TEST(Hangs, ADeviceThatIsStuckForOthersToo) {
  WatchedTarget target;
  target.at_load = [](int) { sleep_on_a_futex(); };
  target.at_open = [](int before) {
    if (before == 1) sleep_on_a_futex();  // the open by the control iteration
  };
  const Alive seen = run(target, 3);
  expect_hang(seen, "S", "opening the device did not end in 1.00 s");
  EXPECT_NE(why(seen.hangs.at(0)).find("and it waits without asking for a CPU"), std::string::npos) << why(seen.hangs.at(0));
  EXPECT_GT(seen.breaths, 0) << "that takes more than five seconds";
}

// A FUSE file that never answers reads. A process with a read in flight cannot leave it, not even when it is killed.
class UnansweredFile {
 public:
  // `path` is empty if the file could not be made.
  explicit UnansweredFile(const std::string& folder) : path(folder + "/f"), folder_(folder) {
    device_ = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    const std::string options = "fd=" + std::to_string(device_) + ",rootmode=40000,user_id=0,group_id=0";
    if (device_ < 0 || mount("test", folder.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0) path.clear();
  }
  ~UnansweredFile() {
    umount2(folder_.c_str(), MNT_FORCE);  // aborts reads in flight
    umount2(folder_.c_str(), MNT_DETACH);
    close(device_);
  }
  UnansweredFile(const UnansweredFile&) = delete;
  UnansweredFile& operator=(const UnansweredFile&) = delete;

  // Serves requests until `other` is readable.
  void serve_until_readable(int other) {
    for (;;) {
      std::array<pollfd, 2> watched{{{device_, POLLIN, 0}, {other, POLLIN, 0}}};
      if (poll(watched.data(), watched.size(), 120'000) <= 0 || watched[1].revents != 0) return;
      answer();
    }
  }

  std::string path;

 private:
  void answer() {
    std::array<char, 1 << 17> request;
    if (read(device_, request.data(), request.size()) < static_cast<ssize_t>(sizeof(fuse_in_header))) return;
    const auto& header = *reinterpret_cast<const fuse_in_header*>(request.data());
    fuse_attr file{};
    file.ino = 2, file.size = 4096, file.mode = S_IFREG | 0444, file.nlink = 1;
    fuse_attr root = file;
    root.ino = 1, root.mode = S_IFDIR | 0555;
    switch (header.opcode) {
      case FUSE_INIT: return reply(header, fuse_init_out{.major = 7, .minor = 31, .max_write = 4096});
      case FUSE_LOOKUP: return reply(header, fuse_entry_out{.nodeid = 2, .attr = file});
      case FUSE_GETATTR: return reply(header, fuse_attr_out{.attr = header.nodeid == 1 ? root : file});
      case FUSE_OPEN: return reply(header, fuse_open_out{.open_flags = FOPEN_DIRECT_IO});
      default: return;  // FUSE_READ and FUSE_INTERRUPT get no answer
    }
  }
  template <typename Out>
  void reply(const fuse_in_header& to, const Out& out) {
    struct {
      fuse_out_header header;
      Out out;
    } answer{{static_cast<std::uint32_t>(sizeof(fuse_out_header) + sizeof out), 0, to.unique}, out};
    (void)!write(device_, &answer, answer.header.len);
  }

  const std::string folder_;
  int device_ = -1;
};

// Surviving SIGKILL is certain without a repetition.
TEST(Hangs, AProcessThatSurvivesBeingKilled) {
  std::string folder = testing::TempDir() + "fuse-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // processes that the runner leaves behind become children of the test
  auto file = std::make_unique<UnansweredFile>(folder);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t runner = file->path.empty() ? -1 : fork();  // this process goes on as the server of the file
  if (runner == 0) {
    WatchedTarget target;
    target.at_load = [&](int) {
      char byte;
      (void)!read(open(file->path.c_str(), O_RDONLY), &byte, 1);
    };
    Seen seen;
    RunPlan plan;
    plan.deadline_ms = 300;
    execute(parse(scenario, "test.scn"), target, nullptr, plan, seen);
    const bool told = seen.hangs.size() == 1 && seen.hangs[0].stuck && !seen.hangs[0].slow && !seen.hangs[0].once &&
                      why(seen.hangs[0]).find("it survives SIGKILL: for ") != std::string::npos;
    const bool busy =
        seen.hangs.size() == 1 && seen.hangs[0].slow && why(seen.hangs[0]).find("disks are busy") != std::string::npos;
    const char answer = told ? 'y' : busy ? 'b' : 'n';
    if (!told)
      for (const Hang& hang : seen.hangs) fprintf(stderr, "%s", why(hang).c_str());
    (void)!write(ends[1], &answer, 1);
    _exit(0);
  }
  if (runner < 0) {
    rmdir(folder.c_str());
    GTEST_SKIP() << "needs root and /dev/fuse";
  }
  char answer = '?';
  file->serve_until_readable(ends[0]);
  EXPECT_EQ(read(ends[0], &answer, 1), 1);
  file.reset();
  while (waitpid(-1, nullptr, __WALL) > 0) {}
  EXPECT_EQ(rmdir(folder.c_str()), 0);
  if (answer == 'b') GTEST_SKIP() << "the disks of this machine are too busy to tell";
  EXPECT_EQ(answer, 'y');
}

TEST(Hangs, OneThatDoesNotComeBackIsTold) {
  WatchedTarget target;
  target.at_load = [](int before) {
    if (before == 5) sleep_on_a_futex();
  };
  const Alive seen = run(target, 20);
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.iterations, 20u) << "its repetition counts";
  ASSERT_EQ(seen.hangs.size(), 1u);
  EXPECT_TRUE(seen.hangs[0].once);
  EXPECT_FALSE(seen.hangs[0].slow);
  EXPECT_EQ(seen.hangs[0].iteration, 5u);
  EXPECT_NE(why(seen.hangs[0]).find("repeated with 1.2 s it did not come back"), std::string::npos) << why(seen.hangs[0]);
}

// ---- Iterations that take long but do not hang.

TEST(Slow, AnIterationThatEndsAfterItsDeadlineCounts) {
  WatchedTarget target;
  target.at_load = [](int before) {
    if (before == 1) nap(1500);
  };
  const Alive seen = run(target, 3);
  expect_clean(seen, 3);
}

TEST(Slow, ASetUpHasALimitOfItsOwn) {
  WatchedTarget target;
  target.at_open = [](int before) {
    if (before == 0) nap(1500);
  };
  expect_clean(run(target, 3), 3);
}

TEST(Slow, ASetUpThatDoesNotEndIsToldAndIsNoHang) {
  WatchedTarget target;
  target.at_open = [](int) { sleep_on_a_futex(); };
  const Alive seen = run(target, 3, 300, 500);
  EXPECT_EQ(seen.iterations, 0u);
  ASSERT_EQ(seen.hangs.size(), 1u);
  EXPECT_EQ(seen.hangs[0].set_up, "P opens its devices");
  EXPECT_EQ(seen.hangs[0].why, std::vector<std::string>{"it was not set up in 0.5 s"});
  EXPECT_FALSE(seen.hangs[0].stuck);
  ASSERT_NE(place(seen.hangs[0], "P.gpu"), nullptr);
  EXPECT_EQ(place(seen.hangs[0], "P.gpu")->statement, "opens its devices");
}

// The parser refuses such a program, and a prediction may not explore all of it.
TEST(Slow, ThreadsThatWaitForEachOtherAreNoHangOfAKernel) {
  Program program = parse(
      "scenario s\nprocess P\n  a: 1 page anon rw\nthread P.t\n  barrier x\n  barrier y\n"
      "thread P.u\n  barrier x\n  barrier y\n",
      "test.scn");
  std::swap(program.threads[1].statements[0], program.threads[1].statements[1]);
  WatchedTarget target;
  RunPlan plan;
  plan.iterations = 1;
  plan.deadline_ms = 300;
  Seen seen;
  execute(program, target, nullptr, plan, seen);
  ASSERT_EQ(seen.hangs.size(), 1u);
  EXPECT_TRUE(seen.hangs[0].slow);
  EXPECT_EQ(seen.hangs[0].why.at(0),
            "each of its threads waits for another one, at a barrier or in a wait: no kernel is to blame");
}

// If a control iteration takes long too, the machine is too slow for a verdict.
TEST(Slow, AControlIterationThatTakesLongAsksForNoVerdict) {
  WatchedTarget target;
  target.at_load = [](int) { sleep_on_a_futex(); };
  target.at_open = [](int before) {
    for (const std::int64_t until = now_ns() + (before % 2 == 1 ? 3 : 0) * 1'000'000'000LL; now_ns() < until;) {}
  };
  const Alive seen = run(target, 1);
  ASSERT_EQ(seen.hangs.size(), 1u);
  EXPECT_TRUE(seen.hangs[0].slow) << why(seen.hangs[0]);
  EXPECT_FALSE(seen.hangs[0].once);
}

}  // namespace
}  // namespace faultline
