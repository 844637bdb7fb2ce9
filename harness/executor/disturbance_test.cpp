#include "harness/executor/disturbance.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "harness/language/parser.h"

namespace faultline {
namespace {

using Kind = Disturbance::Kind;

Program two_threads() {
  return parse(R"(scenario s
process P
  a: 2 pages anon rw = 0
thread P.x
  load a[0]
  store a[1] 1
  madvise a dontneed
thread P.y
  msync a
)",
               "t");
}

std::vector<Disturbance> many(Kind kind, const Program& program, const Circumstances& here) {
  std::mt19937_64 random(3);
  std::vector<Disturbance> all;
  for (int i = 0; i < 20'000; ++i)
    for (const Disturbance& each : draw_disturbances(kind, program, here, 1, random)) all.push_back(each);
  return all;
}

constexpr Circumstances slow{
    .cpus = 2, .longest_offset_ns = 500'000, .statements_ns = 4'000'000, .iteration_ns = 15'000'000, .signals = true};

TEST(Disturbances, FitTheProgram) {
  const Program program = two_threads();
  for (const Kind kind : {Kind::stall, Kind::nap, Kind::preempt, Kind::signals}) {
    const std::vector<Disturbance> drawn = many(kind, program, slow);
    EXPECT_GT(drawn.size(), 100u) << word(kind);
    for (const Disturbance& each : drawn) {
      ASSERT_EQ(each.kind, kind);
      ASSERT_EQ(misfit(std::span(&each, 1), program, 2), "");
    }
  }
}

TEST(Disturbances, AreSpreadOverTheScales) {
  const std::vector<Disturbance> drawn = many(Kind::nap, two_threads(), slow);
  const auto in = [&](std::int64_t from, std::int64_t to) {
    return std::ranges::count_if(drawn, [&](const Disturbance& each) { return each.ns >= from && each.ns < to; });
  };
  EXPECT_GT(in(10'000, 100'000), 1000);
  EXPECT_GT(in(100'000, 1'000'000), 1000);
  EXPECT_GT(in(1'000'000, 20'000'000), 100);
  EXPECT_GT(in(100'000'000, 2'000'000'000), 0) << "one thread is starved, rarely";
  for (const Disturbance& each : drawn) ASSERT_GE(each.where, 0);
  for (int statement = 0; statement < 3; ++statement)
    EXPECT_TRUE(std::ranges::any_of(drawn, [&](const Disturbance& each) { return each.whom == 0 && each.where == statement; }));
}

TEST(Disturbances, CostATwentyFifthAtMost) {
  for (const Kind kind : {Kind::stall, Kind::nap, Kind::preempt}) {
    double all = 0;
    for (const Disturbance& each : many(kind, two_threads(), slow))
      all +=
          static_cast<double>(each.ns) * (kind == Kind::preempt ? 1 + static_cast<double>(slow.statements_ns / each.gap_ns) : 1);
    EXPECT_LT(all / 20'000, static_cast<double>(slow.iteration_ns) / 25 * 1.3) << word(kind);
    EXPECT_GT(all / 20'000, static_cast<double>(slow.iteration_ns) / 500) << word(kind);
  }
}

TEST(Disturbances, SignalsOnlyWhereTheyEndNothing) {
  const Program program = two_threads();
  EXPECT_TRUE(bears_signals(program.threads[0]));
  EXPECT_FALSE(bears_signals(program.threads[1])) << "a file system may be interrupted";
  for (const Disturbance& each : many(Kind::signals, program, slow)) ASSERT_EQ(each.whom, 0);
  Circumstances driver = slow;
  driver.signals = false;
  EXPECT_TRUE(many(Kind::signals, program, driver).empty());
  const Disturbance wrong{Kind::signals, 1, 0, 0, 1'000'000};
  EXPECT_EQ(misfit(std::span(&wrong, 1), program, 2), "signals of 1, which has an operation that a signal may end");
}

TEST(Disturbances, PagesChangeOnlyWhereNoOutcomeTells) {
  const auto program = [](const std::string& statement, const std::string& observe) {
    return parse(
        "scenario s\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw = 3\n  b: 1 page none\nthread P.x on d\n  fork C\n  " +
            statement + "\nprocess C\n" + observe + "\n",
        "t");
  };
  for (const char* statement : {"load a[0]", "munmap a", "mremap a -> b", "pin a", "madvise a dontneed"})
    EXPECT_TRUE(bears_page_changes(program(statement, "observe P:a[0]"))) << statement;
  for (const char* statement : {"migrate a to d", "s = snapshot a", "exclusive a", "check-exclusive a", "madvise a free",
                                "madvise a pageout", "madvise a collapse", "uffd-wake a"})
    EXPECT_FALSE(bears_page_changes(program(statement, ""))) << statement;
  EXPECT_FALSE(bears_page_changes(program("load a[0]", "observe where(P:a[0])")));
  for (const Kind kind : {Kind::reclaim, Kind::move}) {
    Circumstances means = slow;
    means.pages = {.swap = kind == Kind::move, .nodes = kind == Kind::reclaim};
    EXPECT_TRUE(many(kind, program("load a[0]", ""), means).empty()) << "there is no means for " << word(kind);
    means.pages = {true, true};
    bool whom[2] = {};
    for (const Disturbance& each : many(kind, program("load a[0]", ""), means)) {
      ASSERT_EQ(each.kind, kind);
      ASSERT_EQ(misfit(std::span(&each, 1), program("load a[0]", ""), 2), "");
      whom[each.whom] = true;
    }
    EXPECT_TRUE(whom[0] && whom[1]);
    const Disturbance wrong{kind, 0, 0, 1000, 1'000'000};
    EXPECT_EQ(misfit(std::span(&wrong, 1), program("migrate a to d", ""), 2),
              word(kind) + std::string(" of 0, which the outcome would show"));
  }
}

TEST(Disturbances, NoneBetweenAccessesWithAnOrder) {
  const Program program = parse(R"(scenario s
device d: fatal-faults
process P
  a: 1 page anon rw = 3
thread P.x on d
  load a[0] relaxed
  load a[0] relaxed
)",
                                "t");
  for (const Disturbance& each : many(Kind::stall, program, slow)) ASSERT_EQ(each.where, 0);
  const Disturbance wrong{Kind::stall, 0, 1, 0, 5};
  EXPECT_EQ(misfit(std::span(&wrong, 1), program, 2), "stall of 0 before statement 1");
}

TEST(Disturbances, MisfitsAreNamed) {
  const Program program = two_threads();
  const auto wrong = [&](const Disturbance& each) { return misfit(std::span(&each, 1), program, 2); };
  EXPECT_EQ(wrong({Kind::stall, 0, 2, 0, 5}), "");
  EXPECT_EQ(wrong({Kind::stall, 2, 0, 0, 5}), "stall of 2 where there are 2");
  EXPECT_EQ(wrong({Kind::stall, -1, 0, 0, 5}), "stall of -1 where there are 2");
  EXPECT_EQ(wrong({Kind::nap, 1, 1, 0, 5}), "nap of 1 before statement 1");
  EXPECT_EQ(wrong({Kind::nap, 0, 0, 0, 2'000'000'001}), "nap of 0 for 2000000001 ns");
  EXPECT_EQ(wrong({Kind::preempt, 0, 0, 999, 5}), "preempt of 0 every 999 ns");
  EXPECT_EQ(wrong({Kind::stall, 0, 0, 7, 5}), "stall of 0 every 7 ns");
  EXPECT_EQ(wrong({Kind::preempt, 0, 0, 5000, 100'000'001}), "preempt of 0 for 100000001 ns");
  EXPECT_EQ(wrong({Kind::signals, 0, 0, 0, 9'999}), "signals of 0 for 9999 ns");
  const std::vector<Disturbance> five(5, {Kind::stall, 0, 0, 0, 5});
  EXPECT_EQ(misfit(five, program, 2), "5 disturbances of an iteration; at most 4");
}

TEST(Disturbances, TheDeadlineKnowsThem) {
  const std::vector<Disturbance> three{{Kind::nap, 0, 0, 0, 1000}, {Kind::preempt, 0, 0, 2000, 200}, {Kind::signals, 0, 0, 0, 9}};
  EXPECT_EQ(delay_ns(three), 1000 + longest_taken_ns);
}

TEST(Disturbances, ForAReader) {
  const Program program = two_threads();
  EXPECT_EQ(text({Kind::stall, 0, 1, 0, 1'234'567}, program), "P.x stalls for 1.23 ms before #2");
  EXPECT_EQ(text({Kind::nap, 1, 0, 0, 45'000}, program), "P.y sleeps for 45 us before #1");
  EXPECT_EQ(text({Kind::preempt, 1, 0, 3000, 45'000}, program), "CPU 1 is taken for 45 us, and left for 3 us, by turns");
  EXPECT_EQ(text({Kind::signals, 0, 0, 0, 20'000}, program), "P.x gets a signal every 20 us");
  EXPECT_EQ(text({Kind::reclaim, 0, 0, 3000, 20'000}, program), "P is paged out every 20 us, from 3 us on");
  EXPECT_EQ(text({Kind::move, 0, 0, 3000, 20'000}, program), "P's pages are moved every 20 us, from 3 us on");
}

}  // namespace
}  // namespace faultline
