// Processes, threads and timing around the operations.
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "harness/executor/area.h"
#include "harness/executor/process_watch.h"
#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

std::uint64_t rounds(std::uint64_t wanted) {
  // FAULTLINE_TEST_ROUNDS multiplies the rounds, for example to 100,000. An everyday test run has no time for that many.
  const char* factor = getenv("FAULTLINE_TEST_ROUNDS");
  if (factor != nullptr) return wanted * strtoull(factor, nullptr, 10);
#if defined(__SANITIZE_THREAD__)
  return wanted / 10;  // a fork takes 30 ms here
#else
  return wanted;
#endif
}

TEST(Processes, TwoThreadsMeetInEveryWay) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw = 0
thread P.x
  store a[0] 1
  r = load a[1]
thread P.y
  store a[1] 1
  r = load a[0]
)",
                             2000);
  expect_clean(seen, 2000);
  // Accesses have full fences, so the CPU cannot show the forbidden outcome either.
  EXPECT_EQ(seen.outcomes.count({"ok", "0", "ok", "0"}), 0u);
  EXPECT_GE(seen.outcomes.size(), 2u) << "starts are not aligned: one thread always wins";
  EXPECT_GT(seen.batches.size(), 1u);
}

TEST(Processes, ARunnerIsGoneBeforeItIsReaped) {
  const pid_t runner = fork();
  if (runner == 0) {
    pause();
    _exit(0);
  }
  SharedArea area;
  area->runner_life.store(static_cast<int>(syscall(SYS_pidfd_open, runner, 0)));
  EXPECT_FALSE(gave_up(*area));
  kill(runner, SIGKILL);
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(runner), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(gave_up(*area));
  waitpid(runner, nullptr, 0);
  close(area->runner_life.load());
}

TEST(Processes, ForkOfAProcessWithThreadsThatMakesThreads) {
  const std::uint64_t iterations = rounds(500);
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw = 1
  s: 1 page shared rw
thread P.t
  fork C
thread P.u
  store a[0] 2
  store a[1] 2
process C
  r = load a[0]
thread C.x
  r = load a[1]
  fork D
thread C.y
  store s[0] 5
process D
  r = load a[1]
observe P:s[0] D:s[0]
)",
                             iterations);
  expect_clean(seen, iterations);
  EXPECT_EQ(seen.only("P:s[0]"), "5");
  EXPECT_EQ(seen.only("D:s[0]"), "5");
  EXPECT_EQ(seen.texts("C:r").count("alien"), 0u);
}

TEST(Processes, RootsThatAreKilled) {
  const std::uint64_t iterations = rounds(300);
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw = 0
thread P.t
  f = fork C
  s1 = store a[1] 3
process Q
  k = kill P
  k2 = kill C
process C
  r = store a[0] 1
observe P:a[0] C:a[0]
)",
                             iterations);
  expect_clean(seen, iterations);
  EXPECT_EQ(seen.only("Q:k"), "ok");
  EXPECT_EQ(seen.only("P:a[0]"), "-");
  for (const auto& [text, count] : seen.texts("P.t:f")) EXPECT_TRUE(text == "ok" || text == "unknown") << text;
  for (const auto& [text, count] : seen.texts("C:a[0]")) EXPECT_TRUE(text == "1" || text == "-") << text;
}

TEST(Processes, ExitTakesTheOtherThreadsAlong) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 1 page anon rw = 0
thread P.t
  fork C
  w = wait C
process C
  barrier go
  e = exit
thread C.busy
  barrier go
  delay 900ms
  r0 = load a[0]
  r1 = load a[0]
)",
                             20);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("P.t:w"), "exited");
  EXPECT_EQ(seen.only("C:e"), "ok");
  EXPECT_EQ(seen.only("C.busy:r0"), "-");
}

TEST(Processes, ABarrierDoesNotWaitForTheDeadOrTheUnborn) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 1 page anon rw = 0
thread P.t
  fork C
  barrier dead
  r = load a[0]
thread P.u
  barrier dead
process C
  exit
thread C.w
  delay 900ms
  fork D
  barrier dead
process D
  barrier dead
)",
                             20);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("P.t:r"), "0");
}

TEST(Processes, BarrierOrders) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages shared rw = 0
thread P.x
  store a[0] 1
  barrier b
  r = load a[1]
  barrier b
  store a[0] 2
  barrier c
thread P.y
  store a[1] 1
  barrier b
  r = load a[0]
  barrier b
  barrier c
  q = load a[0]
)",
                             300);
  expect_clean(seen, 300);
  EXPECT_EQ(seen.only("P.x:r"), "1");
  EXPECT_EQ(seen.only("P.y:r"), "1");
  EXPECT_EQ(seen.only("P.y:q"), "2");
}

TEST(Processes, ABarrierThatIsNamedTwiceByOneAndOnceByAnother) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw = 0
thread P.x
  barrier b
  barrier b
  store a[0] 1
  barrier c
thread P.y
  barrier b
  barrier c
  r = load a[0]
)",
                             100);
  expect_clean(seen, 100);
  EXPECT_EQ(seen.only("P.y:r"), "1");
}

TEST(Processes, EightThreadsOfSixProcesses) {
  const Seen seen = run_text(R"(scenario s
process A
  a: 1 page shared rw = 0
process B
  b: 1 page anon rw = 0
thread A.x
  fork C
  fork D
  store a[0] 1
thread A.y
  r = load a[0]
thread B.x
  fork E
  barrier all
process C
  fork F
  barrier all
process D
  r = load a[0]
  barrier all
process E
  r = load b[0]
  barrier all
process F
  barrier all
  r = load a[0]
thread F.x
  barrier all
)",
                             100);
  expect_clean(seen, 100);
  EXPECT_EQ(seen.only("E:r"), "0");
}

// Kills a root process from outside after the first batch.
struct Saboteur : Seen {
  void batch(const Batch& batch) override {
    if (batches.empty())
      for (pid_t child : children_of(getpid())) kill(child, SIGKILL);
    Seen::batch(batch);
  }
};

TEST(Processes, OneThatSomebodyElseKillsIsAnErrorAndTheRunGoesOn) {
  const Program program = parse(R"(scenario s
process P
  a: 1 page anon rw = 0
thread P.t
  r = load a[0]
)",
                                "t");
  CpuTarget target;
  RunPlan plan;
  plan.iterations = 300;
  plan.batch = 100;
  Saboteur seen;
  execute(program, target, nullptr, plan, seen);
  EXPECT_EQ(seen.errors, std::vector<std::string>{"iteration 100: process P was ended by nobody in the scenario: SIGKILL, "
                                                  "which a person or a program outside has sent"});
  EXPECT_EQ(seen.iterations, 299u);
}

TEST(Batches, ReplayTakesTheGivenParameters) {
  CpuTarget target;
  RunPlan plan;
  plan.iterations = 30;
  plan.batch = 10;
  plan.parameters = Parameters{99, {0}, {{5}, {7}}, {}};
  const char* text = R"(scenario s
process P
  a: 1 page anon rw = 0
thread P.t
  r = load a[0]
)";
  const Seen seen = run_text(text, target, plan);
  expect_clean(seen, 30);
  ASSERT_EQ(seen.batches.size(), 3u);
  for (const Batch& batch : seen.batches) EXPECT_EQ(batch.parameters, *plan.parameters);
  EXPECT_EQ(seen.batches[2].first, 20u);
  EXPECT_EQ(seen.batches[2].outcomes[0].first, 20u);
  plan.parameters->cpus = {0, 0};
  EXPECT_EQ(run_text(text, target, plan).errors, std::vector<std::string>{"parameters: 2 cpus for 1 threads"});
}

TEST(Batches, StopEndsTheRun) {
  CpuTarget target;
  Seen seen;
  seen.stop_after = 20;
  RunPlan plan;
  plan.iterations = 1'000'000;
  plan.batch = 10;
  execute(parse("scenario s\nprocess P\n  a: 1 page anon rw = 0\nthread P.t\n  load a[0]\n", "t"), target, nullptr, plan, seen);
  EXPECT_EQ(seen.iterations, 20u);
}

// The time of a short slice may end before its first iteration does.
TEST(Batches, AStopBeforeTheFirstIterationEndsAfterIt) {
  CpuTarget target;
  struct Stopped : Seen {
    bool stop_requested() override { return true; }
  } seen;
  RunPlan plan;
  plan.iterations = 1'000'000;
  execute(parse("scenario s\nprocess P\n  a: 1 page anon rw = 0\nthread P.t\n  load a[0]\n", "t"), target, nullptr, plan, seen);
  EXPECT_EQ(seen.iterations, 1u);
}

}  // namespace
}  // namespace faultline
