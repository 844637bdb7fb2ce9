#include "stress/storms/leaks.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

namespace faultline::storms {
namespace {

using Level = std::function<std::int64_t(int round, bool idle)>;  // how much it changes

std::vector<StormNews> rounds_of(const std::string& name, int pairs, const Level& change) {
  std::int64_t level = 100'000;
  std::vector<StormNews> rounds = {{.idle = true, .levels = {{name, level}}}};
  for (int round = 1; round <= pairs; ++round)
    for (const bool idle : {false, true}) {
      level += change(round, idle);
      StormNews news;
      news.round = static_cast<std::uint64_t>(round);
      news.idle = idle;
      news.levels[name] = level;
      rounds.push_back(news);
    }
  return rounds;
}

bool leaks(const std::vector<StormNews>& rounds) {
  const std::vector<LevelVerdict> verdicts = judge_levels(rounds);
  EXPECT_EQ(verdicts.size(), 1u);
  return verdicts.size() == 1 && verdicts.front().leaks;
}

TEST(Leaks, OnePageARoundIsOneOnAQuietMachine) {
  EXPECT_TRUE(leaks(rounds_of("mm_struct", 20, [](int, bool idle) { return idle ? 0 : 1; })));
  EXPECT_TRUE(leaks(rounds_of("memory KiB", 20, [](int, bool idle) { return idle ? 0 : 8; })));
}

TEST(Leaks, ShowThroughNoise) {
  std::mt19937 random(1);
  std::normal_distribution<> noise(0, 40);
  std::int64_t last = 0;
  EXPECT_TRUE(leaks(rounds_of("memory KiB", 40, [&](int, bool idle) {
    const auto now = static_cast<std::int64_t>(noise(random));
    return (idle ? 0 : 120) + now - std::exchange(last, now);
  })));
}

TEST(Leaks, AFlatLevelIsNone) {
  EXPECT_FALSE(leaks(rounds_of("mm_struct", 20, [](int, bool) { return 0; })));
  EXPECT_FALSE(leaks(rounds_of("mm_struct", 20, [](int, bool idle) { return idle ? -5 : 5; })));  // freed later
}

TEST(Leaks, CachesThatFillAreNone) {
  EXPECT_FALSE(leaks(rounds_of("memory KiB", 40, [](int round, bool idle) { return idle || round > 3 ? 0 : 4000; })));
}

TEST(Leaks, ABusyMachineIsNone) {
  // Another program takes memory all the time, at random, and gives some of it back.
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    std::exponential_distribution<> taken(1.0 / 900);
    EXPECT_FALSE(leaks(rounds_of("memory KiB", 25, [&](int, bool) {
      return static_cast<std::int64_t>(taken(random)) - (random() % 3 == 0 ? 400 : 0);
    }))) << seed;
  }
}

TEST(Leaks, AreNotJudgedAfterFewRounds) {
  EXPECT_TRUE(judge_levels(rounds_of("mm_struct", 14, [](int, bool idle) { return idle ? 0 : 1; })).empty());
  EXPECT_FALSE(judge_levels(rounds_of("mm_struct", 15, [](int, bool idle) { return idle ? 0 : 1; })).empty());
}

TEST(Leaks, TheTestsGiveWhatATextbookGives) {
  EXPECT_NEAR(trend_of({1, 2, 3, 4, 5}), 2.2045, 1e-3);  // S 10, variance 16.667
  EXPECT_DOUBLE_EQ(trend_of({7, 7, 7}), 0);
  EXPECT_NEAR(excess_of({4, 5, 6}, {1, 2, 3}), 1.9640, 1e-3);  // U 9, variance 5.25
  EXPECT_DOUBLE_EQ(excess_of({1, 1}, {1, 1}), 0);
}

}  // namespace
}  // namespace faultline::storms
