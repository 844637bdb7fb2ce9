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
  for (const int count : draws(Bandit(3), 3)) EXPECT_NEAR(count, 1000, 150);
}

TEST(Bandit, SeedAndOutcomesDecide) {
  Bandit one(3), two(3);
  one.learn(2, true);
  two.learn(2, true);
  EXPECT_EQ(draws(one, 3), draws(two, 3));
  EXPECT_NE(draws(one, 3, 1), draws(one, 3, 2));
}

TEST(Bandit, PrefersWhatHits) {
  Bandit bandit(3);
  for (int i = 0; i < 300; ++i) {
    bandit.learn(0, false);
    bandit.learn(1, i % 10 == 0);
    bandit.learn(2, false);
  }
  const std::vector<int> counts = draws(bandit, 3);
  EXPECT_GT(counts[1], 2900);
}

TEST(Bandit, GoesBackToAnArmThatFailed) {
  Bandit bandit(2);
  for (int i = 0; i < 50; ++i) bandit.learn(0, false);
  bandit.learn(1, true);
  for (int i = 0; i < 20'000; ++i) bandit.learn(1, false);
  EXPECT_GT(draws(bandit, 2)[0], 1000) << "what was learnt of it fades, and nothing hits any more";
}

// Iterations with a stall show an outcome that no other shows.
TEST(Preferences, ADisturbanceThatShowsRareOutcomesIsDrawnMoreOften) {
  const Parameters plain{0, {-1}, {{0}}, {}};
  const Parameters stalled{0, {-1}, {{0}}, {{{Disturbance::Kind::stall, 0, 0, 0, 5}}}};
  Preferences preferences, indifferent;
  for (int i = 0; i < 400; ++i) {
    preferences.learn(plain, 0, "usual");
    preferences.learn(stalled, 0, i % 100 == 50 ? "rare" : "usual");
    indifferent.learn(plain, 0, "usual");
    indifferent.learn(stalled, 0, "usual");
  }
  const auto stalls = [](const Preferences& of) {
    std::mt19937_64 random(1);
    int count = 0;
    for (int i = 0; i < 3000; ++i) count += of.disturbance(random) == 1 + static_cast<int>(Disturbance::Kind::stall);
    return count;
  };
  EXPECT_GT(stalls(preferences), 3 * stalls(indifferent) / 2);
}

}  // namespace
}  // namespace faultline
