#include "harness/executor/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "harness/executor/bandit.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

Program three_threads() {
  return parse(R"(scenario s
process P
  a: 1 page anon rw = 0
thread P.x
  barrier go
  load a[0]
  barrier go
thread P.y
  load a[0]
thread P.z
  barrier go
)",
               "t");
}

Parameters drawn_from(const Program& program, std::uint64_t seed, int rows, int cpus) {
  Experience learnt{};
  Preferences preferences(learnt);
  return draw_parameters(program, seed, rows, {.cpus = cpus}, preferences);
}

TEST(Parameters, OneOffsetForEachStartAndEachBarrier) {
  const Program program = three_threads();
  EXPECT_EQ(first_offset(program, 0), 0);
  EXPECT_EQ(first_offset(program, 1), 3);
  EXPECT_EQ(first_offset(program, 2), 4);
  EXPECT_EQ(row_length(program), 6);
}

TEST(Parameters, SeedDecides) {
  const Program program = three_threads();
  EXPECT_EQ(drawn_from(program, 5, 8, 4), drawn_from(program, 5, 8, 4));
  EXPECT_NE(drawn_from(program, 5, 8, 4), drawn_from(program, 6, 8, 4));
  EXPECT_NE(batch_seed(1, 0), batch_seed(1, 1));
  EXPECT_NE(batch_seed(1, 0), batch_seed(2, 0));
}

TEST(Parameters, OffsetsAreSpreadOverTheScales) {
  const Program program = three_threads();
  const Parameters drawn = drawn_from(program, 1, 4000, 4);
  int zero = 0, small = 0, large = 0, all = 0;
  for (const auto& row : drawn.offsets)
    for (std::int64_t offset : row) {
      ASSERT_GE(offset, 0);
      ASSERT_LE(offset, 200'000);
      ++all;
      zero += offset == 0;
      small += offset > 0 && offset < 450;  // the geometric middle of [10, 20000]
      large += offset >= 450;
    }
  EXPECT_NEAR(zero, all / 8, all / 40);
  EXPECT_NEAR(small, large, all / 20);
}

TEST(Parameters, PlacementIsFreeSpreadOrAnywhere) {
  const Program program = three_threads();
  int free = 0, spread = 0;
  constexpr int batches = 400;
  for (int seed = 0; seed < batches; ++seed) {
    const auto cpus = drawn_from(program, static_cast<std::uint64_t>(seed), 1, 3).cpus;
    ASSERT_EQ(cpus.size(), 3u);
    free += std::ranges::all_of(cpus, [](int cpu) { return cpu == -1; });
    spread += cpus[0] >= 0 && cpus[0] != cpus[1] && cpus[1] != cpus[2] && cpus[0] != cpus[2];
  }
  EXPECT_GT(free, batches / 3);
  EXPECT_GT(spread, batches / 6);
}

TEST(Parameters, WhatDrawingGivesFits) {
  const Program program = three_threads();
  const Parameters drawn = drawn_from(program, 9, 2, 2);
  EXPECT_EQ(misfit(drawn, program, 2), "");
  EXPECT_FALSE(has_signals(drawn)) << "the target does not take them";
  Experience learnt{};
  Preferences preferences(learnt);
  const Parameters many = draw_parameters(program, 9, 64, {.cpus = 2, .signals = true}, preferences);
  EXPECT_EQ(misfit(many, program, 2), "");
  EXPECT_TRUE(has_signals(many));
  EXPECT_EQ(misfit(drawn, program, 64), "");
}

TEST(Parameters, MisfitsAreNamed) {
  const Program program = three_threads();
  const Parameters good = drawn_from(program, 9, 2, 2);
  Parameters bad = good;
  bad.cpus = {0, 1};
  EXPECT_EQ(misfit(bad, program, 2), "parameters: 2 cpus for 3 threads");
  bad = good;
  bad.cpus[2] = 7;
  EXPECT_EQ(misfit(bad, program, 2), "parameters: cpu 7 of 2");
  bad = good;
  bad.offsets.clear();
  EXPECT_EQ(misfit(bad, program, 2), "parameters: no row of offsets");
  bad = good;
  bad.offsets[1].pop_back();
  EXPECT_EQ(misfit(bad, program, 2), "parameters: a row of 5 offsets where the program has 6");
  bad = good;
  bad.offsets[0][0] = -1;
  EXPECT_EQ(misfit(bad, program, 2), "parameters: offset -1 ns");
  bad = good;
  bad.disturbances.pop_back();
  EXPECT_EQ(misfit(bad, program, 2), "parameters: disturbances of 1 rows, offsets of 2");
  bad.disturbances.clear();
  EXPECT_EQ(misfit(bad, program, 2), "") << "as in a journal of an older version";
  bad.disturbances = {{}, {{Disturbance::Kind::preempt, 2, 0, 2000, 1}}};
  EXPECT_EQ(misfit(bad, program, 2), "parameters: preempt of 2 where there are 2");
}

TEST(Parameters, RowsComeAgain) {
  Parameters parameters{0, {-1}, {{1}, {2}}, {}};
  EXPECT_EQ(row_of(parameters, 3).offsets, std::vector<std::int64_t>{2});
  EXPECT_TRUE(row_of(parameters, 3).disturbances.empty());
  parameters.disturbances = {{}, {{Disturbance::Kind::stall, 0, 0, 0, 7}}};
  EXPECT_EQ(row_of(parameters, 3).disturbances[0].ns, 7);
  EXPECT_TRUE(row_of(parameters, 4).disturbances.empty());
}

TEST(Parameters, MeasuredScaleIsSane) {
  const std::int64_t longest = measure_longest_offset_ns();
  EXPECT_GE(longest, 10'000);
  EXPECT_LE(longest, 2'000'000);
}

}  // namespace
}  // namespace faultline
