// Iterations that follow one another without the runner.
#include "harness/executor/turns.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

std::uint32_t turns_of(const std::string& text) {
  const Program program = parse(text, "test.scn");
  return most_turns(program, Layout(program));
}

constexpr const char* two_threads = R"(scenario s
device d: shares-cpu-tables
process P
  a: 1 page anon rw = 0
thread P.gpu on d
  r = load a[0]
thread P.t
  store a[0] 5
observe P:a[0]
)";

// Undisturbed, so that all iterations but the first may be turns.
RunPlan plan(std::uint64_t iterations, int deadline_ms = 30'000) {
  RunPlan plan;
  plan.iterations = iterations;
  plan.deadline_ms = deadline_ms;
  plan.parameters = Parameters{.seed = 1, .cpus = {-1, -1}, .offsets = {{0, 0}, {100, 0}, {0, 100}}, .disturbances = {}};
  return plan;
}

TEST(Turns, OnlyWhereNothingNeedsTheRunner) {
  EXPECT_GT(turns_of(two_threads), 8u);
  EXPECT_GT(turns_of("scenario s\nprocess P\n  a: 1 page anon rw = 0\n  fork C\nprocess C\n  store a[0] 1\n"), 8u);
  // A second root, an end, an observe that the runner asks for, a child that has one to answer.
  EXPECT_EQ(
      turns_of(
          "scenario s\nprocess P\n  a: 1 page anon rw = 0\n  store a[0] 1\nprocess Q\n  b: 1 page anon rw = 0\n  store b[0] 1\n"),
      1u);
  EXPECT_EQ(turns_of("scenario s\nprocess P\n  fork C\n  kill C\nprocess C\n  delay 10us\n"), 1u);
  EXPECT_EQ(turns_of("scenario s\nprocess P\n  a: 1 page anon rw = 0\n  fork C\nprocess C\n  store a[0] 1\nobserve C:a[0]\n"),
            1u);
}

TEST(Turns, EachCountsOnceWithItsOwnValues) {
  WatchedTarget target;
  const Seen seen = run_text(two_threads, target, plan(3000));
  expect_clean(seen, 3000);
  // A value of another iteration would be "alien", a result that was kept twice or never would leave other numbers.
  EXPECT_EQ(seen.only("P:a[0]"), "5");
  std::uint64_t loads = 0;
  for (const auto& [text, count] : seen.texts("P.gpu:r")) loads += text == "0" || text == "5" ? count : 0;
  for (const auto& [text, count] : seen.texts("P:r")) loads += text == "0" || text == "5" ? count : 0;
  EXPECT_EQ(loads, 3000u);
}

TEST(Turns, WithForksEachReapsItsChild) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 1 page anon rw = 1
thread P.t
  fork C
thread P.u
  store a[0] 2
process C
  r = load a[0]
)",
                             300);
  expect_clean(seen, 300);
}

TEST(Turns, AHangInTheMiddleIsToldWithItsIteration) {
  constexpr int which = 777;
  WatchedTarget target;
  target.at_load = [](int loads) {
    if (loads == which)
      for (;;) asm volatile("pause" ::: "memory");
  };
  const Seen seen = run_text(two_threads, target, plan(1000, 300));
  ASSERT_EQ(seen.hangs.size(), 1u);
  EXPECT_EQ(seen.hangs[0].iteration, static_cast<std::uint64_t>(which));
  EXPECT_GE(seen.iterations, 999u) << "those before it and those after it count";
}

TEST(Turns, OneThatIsLateAndEndsCounts) {
  WatchedTarget target;
  target.at_load = [](int loads) {
    if (loads == 500) usleep(700'000);
  };
  const Seen seen = run_text(two_threads, target, plan(1000, 200));
  expect_clean(seen, 1000);
}

TEST(Turns, AnErrorInTheMiddleIsToldWithItsIteration) {
  constexpr int which = 400;
  WatchedTarget target;
  target.at_load = [](int loads) {
    if (loads == which) raise(SIGKILL);
  };
  const Seen seen = run_text(two_threads, target, plan(1000));
  ASSERT_EQ(seen.errors.size(), 1u);
  EXPECT_EQ(seen.errors[0].find("iteration 400: "), 0u) << seen.errors[0];
  EXPECT_EQ(seen.iterations, 999u);
}

}  // namespace
}  // namespace faultline
