// Whether a storm leaves more and more in use. Pure functions over what its rounds told.
//
// One reading proves nothing: other programs run, and the kernel keeps freed memory for itself. So a storm works in one round
// and is idle in the next, for as long. A level leaks if
//   1. it rises: the readings after idle rounds have a trend that chance does not explain, and
//   2. it rises more while the storm works than while it is idle, which chance does not explain either. What other programs
//      do shows in both.
// The first rounds are left out, in which caches of the kernel fill.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/storm.h"

namespace faultline::storms {

inline constexpr std::size_t warm_up_rounds = 6;
// Rounds of each kind that a judgement needs: with fewer, chance alone may rank all working rounds above the idle ones.
inline constexpr std::size_t least_rounds = 12;

struct LevelVerdict {
  std::string level;
  std::int64_t first = 0, last = 0;  // readings after idle rounds
  std::int64_t worked = 0;           // the median change in a working round
  std::int64_t idled = 0;            // and in an idle one
  double trend = 0;                  // standard deviations by which the trend exceeds chance (Mann-Kendall)
  double more = 0;                   // the same of working rounds against idle ones (Mann-Whitney)
  bool leaks = false;
};

// In order of the name. Empty if there were too few rounds.
std::vector<LevelVerdict> judge_levels(const std::vector<StormNews>& rounds);

// Standard deviations; 0 for fewer than two values, or if all are equal.
double trend_of(const std::vector<std::int64_t>& values);
double excess_of(const std::vector<std::int64_t>& left, const std::vector<std::int64_t>& right);

}  // namespace faultline::storms
