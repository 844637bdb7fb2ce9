#include "stress/campaign/shrinking.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/language/parser.h"
#include "harness/queries.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

const char* const text =
    "scenario found\ndevice d: recoverable\nprocess P\n  a: 2 pages anon rw = 5\nthread P.gpu on d\n  load a[0]\n"
    "  store a[1] 1\nthread P.cpu\n  fork C\n  store a[0] 2\nprocess C\n  load a[1]\nobserve P:a[0] C:a[1]\n";

bool forks(const Program& program) {
  return any_operation(program, [](const Operation& o) { return std::holds_alternative<op::Fork>(o); });
}

// Runs a shrinking on a kernel that shows what is forbidden in one of `every` iterations of programs that fork.
struct Fake {
  explicit Fake(int every, double seconds = 1000)
      : shrinking({{.finding = {.scenario = "found", .target = "host"}, .file = "found.scn", .text = text}},
                  {.seconds = seconds,
                   .clock = [this] { return now; },
                   .prefix = "x-",
                   .done = [this](const Shrunk& s) { done.push_back(s); }}) {
    Trial trial;
    std::shared_ptr<const Scenario> of;
    while (const std::optional<Work> work = shrinking.next("host", {})) {
      if (work->scenario != of) {
        of = work->scenario;
        trial = {};
        trial.target = "host";
        trial.program = of->program;
        trial.allowed.complete = true;
        trial.allowed.outcomes = {{"good"}};
        trial.allowed.schema = {{}};
        ++programs;
      }
      const std::uint64_t iterations = std::min<std::uint64_t>(work->iterations, 100);
      trial.iterations += iterations;
      trial.seen[{"good"}].count += iterations;
      if (every > 0 && forks(of->program)) trial.seen[{"bad"}].count += iterations / static_cast<std::uint64_t>(every);
      now += 1;
      shrinking.told(trial, false);
    }
    shrinking.end();
  }

  double now = 0;
  int programs = 0;
  std::vector<Shrunk> done;
  Shrinking shrinking;
};

TEST(Shrinking, AFindingBecomesSmall) {
  const Fake fake(2);
  ASSERT_EQ(fake.done.size(), 1u);
  EXPECT_TRUE(fake.done[0].smallest);
  EXPECT_NEAR(fake.done[0].rate, 0.5, 0.01);
  EXPECT_TRUE(forks(fake.done[0].program));
  EXPECT_LT(weight(fake.done[0].program), weight(parse(text, "")) * 2 / 3);
  EXPECT_EQ(fake.done[0].tried + 1, fake.programs);
  ASSERT_TRUE(fake.done[0].forbidden);
  EXPECT_EQ(fake.done[0].forbidden->value, "bad");
}

TEST(Shrinking, TheTimeEndsIt) {
  const Fake fake(2, 3);
  ASSERT_EQ(fake.done.size(), 1u);
  EXPECT_FALSE(fake.done[0].smallest);
  EXPECT_GT(fake.done[0].rate, 0);
  EXPECT_LE(fake.programs, 4);
}

TEST(Shrinking, WhatDoesNotShowAgainIsTold) {
  const Fake fake(0);
  ASSERT_EQ(fake.done.size(), 1u);
  EXPECT_EQ(fake.done[0].rate, 0);
  EXPECT_EQ(fake.programs, 1);
}

}  // namespace
}  // namespace faultline
