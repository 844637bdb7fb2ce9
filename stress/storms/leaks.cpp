#include "stress/storms/leaks.h"

#include <algorithm>
#include <cmath>

namespace faultline::storms {
namespace {

// Chance alone exceeds 4.5 standard deviations once in 300,000 times. Both tests must.
constexpr double improbable = 4.5;
constexpr double improbable_excess = 3.7;  // with 12 and 12 rounds, no ranking exceeds 4.1

// Changes of a round below this are no leak that matters, and may come from the counters themselves.
std::int64_t grain_of(const std::string& level) { return level.ends_with("KiB") ? 8 : 1; }

std::int64_t median(std::vector<std::int64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The sum of t^3 - t over groups of equal values, by which ties make a variance smaller.
double ties_of(std::vector<std::int64_t> values, double (*term)(double)) {
  std::ranges::sort(values);
  double sum = 0;
  for (std::size_t i = 0, next = 0; i < values.size(); i = next) {
    while (next < values.size() && values[next] == values[i]) ++next;
    sum += term(static_cast<double>(next - i));
  }
  return sum;
}

}  // namespace

double trend_of(const std::vector<std::int64_t>& values) {
  double s = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    for (std::size_t j = i + 1; j < values.size(); ++j) s += values[j] > values[i] ? 1 : values[j] < values[i] ? -1 : 0;
  const auto n = static_cast<double>(values.size());
  const double ties = ties_of(values, [](double t) { return t * (t - 1) * (2 * t + 5); });
  const double variance = (n * (n - 1) * (2 * n + 5) - ties) / 18;
  if (variance <= 0 || s == 0) return 0;
  return (s > 0 ? s - 1 : s + 1) / std::sqrt(variance);
}

double excess_of(const std::vector<std::int64_t>& left, const std::vector<std::int64_t>& right) {
  double u = 0;
  for (const std::int64_t a : left)
    for (const std::int64_t b : right) u += a > b ? 1 : a == b ? 0.5 : 0;
  const auto n = static_cast<double>(left.size()), m = static_cast<double>(right.size()), all = n + m;
  if (n < 1 || m < 1) return 0;
  std::vector<std::int64_t> both = left;
  both.insert(both.end(), right.begin(), right.end());
  const double ties = ties_of(both, [](double t) { return t * t * t - t; });
  const double variance = n * m / 12 * (all + 1 - ties / (all * (all - 1)));
  return variance > 0 ? (u - n * m / 2) / std::sqrt(variance) : 0;
}

std::vector<LevelVerdict> judge_levels(const std::vector<StormNews>& rounds) {
  std::map<std::string, std::vector<std::int64_t>> worked, idled, after;
  std::size_t works = 0, idles = 0;
  for (std::size_t i = warm_up_rounds; i < rounds.size(); ++i) {
    const StormNews& now = rounds[i];
    ++(now.idle ? idles : works);
    for (const auto& [level, value] : now.levels) {
      const auto before = rounds[i - 1].levels.find(level);
      // A level that has just appeared, such as the first device memory, was 0.
      const std::int64_t change = value - (before != rounds[i - 1].levels.end() ? before->second : 0);
      (now.idle ? idled : worked)[level].push_back(change);
      if (now.idle) after[level].push_back(value);
    }
  }
  std::vector<LevelVerdict> verdicts;
  if (works < least_rounds || idles < least_rounds) return verdicts;
  for (const auto& [level, values] : after) {
    LevelVerdict verdict{level, values.front(), values.back(), median(worked[level]), median(idled[level])};
    verdict.trend = trend_of(values);
    verdict.more = excess_of(worked[level], idled[level]);
    verdict.leaks =
        verdict.trend >= improbable && verdict.more >= improbable_excess && verdict.worked - verdict.idled >= grain_of(level);
    verdicts.push_back(verdict);
  }
  return verdicts;
}

}  // namespace faultline::storms
