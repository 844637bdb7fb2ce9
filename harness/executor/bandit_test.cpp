#include "harness/executor/bandit.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

std::vector<int> draws(const Bandit& bandit, int arms, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<int> counts(static_cast<std::size_t>(arms));
  for (int i = 0; i < 3000; ++i) ++counts[static_cast<std::size_t>(bandit.draw(random))];
  return counts;
}

TEST(Bandit, KnowsNothingAtFirst) {
  std::array<Arm, 3> arms{};
  for (const int count : draws(Bandit(arms), 3)) EXPECT_NEAR(count, 1000, 150);
}

TEST(Bandit, SeedAndOutcomesDecide) {
  std::array<Arm, 3> arms{}, others{};
  Bandit one(arms), two(others);
  one.learn(2, true);
  two.learn(2, true);
  EXPECT_EQ(draws(one, 3), draws(two, 3));
  EXPECT_NE(draws(one, 3, 1), draws(one, 3, 2));
}

TEST(Bandit, PrefersWhatHits) {
  std::array<Arm, 3> arms{};
  Bandit bandit(arms);
  for (int i = 0; i < 300; ++i) {
    bandit.learn(0, false);
    bandit.learn(1, i % 10 == 0);
    bandit.learn(2, false);
  }
  const std::vector<int> counts = draws(bandit, 3);
  EXPECT_GT(counts[1], 2900);
}

TEST(Bandit, GoesBackToAnArmThatFailed) {
  std::array<Arm, 2> arms{};
  Bandit bandit(arms);
  for (int i = 0; i < 50; ++i) bandit.learn(0, false);
  bandit.learn(1, true);
  for (int i = 0; i < 20'000; ++i) bandit.learn(1, false);
  EXPECT_GT(draws(bandit, 2)[0], 1000) << "what was learnt of it fades, and nothing hits any more";
}

int stalls(Preferences& preferences) {
  std::mt19937_64 random(1);
  int count = 0;
  for (int i = 0; i < 3000; ++i) count += preferences.disturbance(random) == Disturbance::Kind::stall;
  return count;
}

TEST(Preferences, ADisturbanceThatShowsRareOutcomesIsDrawnMoreOften) {
  Experience learnt{}, nothing_shown{};
  Preferences preferences(learnt), indifferent(nothing_shown);
  std::mt19937_64 random(1);
  int stalled = 0;
  for (std::uint64_t batch = 0; batch < 100; ++batch)
    for (Preferences* each : {&preferences, &indifferent}) {
      each->placement(random);
      std::vector<bool> stall;
      for (int row = 0; row < 20; ++row) stall.push_back(each->disturbance(random) == Disturbance::Kind::stall);
      for (std::uint64_t row = 0; row < 20; ++row) {
        const bool shows = each == &preferences && stall[row] && ++stalled % 20 == 0;
        each->learn(row, shows ? "rare" + std::to_string(batch) : "usual");
      }
    }
  EXPECT_GT(stalls(preferences), 2 * stalls(indifferent));
  Preferences of_the_next_run(learnt), of_another_target(nothing_shown);
  EXPECT_GT(stalls(of_the_next_run), 2 * stalls(of_another_target));
}

// A kind that is never possible here must not be drawn for ever because nothing is known of it.
TEST(Preferences, WhatIsDrawnInVainIsATryToo) {
  Experience learnt{};
  Preferences preferences(learnt);
  std::mt19937_64 random(1);
  for (int batch = 0; batch < 50; ++batch) {
    preferences.placement(random);
    preferences.disturbance(random);
    preferences.learn(0, "usual");
  }
  EXPECT_NEAR(stalls(preferences), 600, 400) << "a fifth";
}

}  // namespace
}  // namespace faultline
