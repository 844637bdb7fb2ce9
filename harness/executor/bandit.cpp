#include "harness/executor/bandit.h"

#include <cmath>

namespace faultline {
namespace {

constexpr double pi = 3.14159265358979323846;

double normal(std::mt19937_64& random) {
  const double radius = std::sqrt(-2 * std::log(1 - unit(random)));
  return radius * std::cos(2 * pi * unit(random));
}

// Gamma distribution with shape >= 1 and scale 1 (Marsaglia and Tsang, 2000).
double gamma(std::mt19937_64& random, double shape) {
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal(random), cube = 1 + c * x;
    if (cube <= 0) continue;
    const double v = cube * cube * cube;
    if (std::log(1 - unit(random)) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace

int Bandit::draw(std::mt19937_64& random) const {
  int best = 0;
  double most = -1;
  for (std::size_t arm = 0; arm < arms_.size(); ++arm) {
    const double a = gamma(random, 1 + arms_[arm].hits), b = gamma(random, 1 + arms_[arm].misses);
    if (a / (a + b) <= most) continue;
    most = a / (a + b);
    best = static_cast<int>(arm);
  }
  return best;
}

void Bandit::learn(int arm, bool hit) {
  // What was learnt fades: an outcome that was rare becomes usual.
  constexpr double memory = 2000;
  Arm& tried = arms_[static_cast<std::size_t>(arm)];
  (hit ? tried.hits : tried.misses) += 1;
  double tries = 0;
  for (const Arm& each : arms_) tries += each.hits + each.misses;
  if (tries < memory) return;
  for (Arm& each : arms_) each = {each.hits / 2, each.misses / 2};
}

Placement Preferences::placement(std::mt19937_64& random) {
  placement_ = below(random, 2) == 0 ? Placement::scheduler : static_cast<Placement>(1 + placements_.draw(random));
  rows_.clear();
  return placement_;
}

std::optional<Disturbance::Kind> Preferences::disturbance(std::mt19937_64& random) {
  rows_.push_back(disturbances_.draw(random));
  return rows_.back() == 0 ? std::nullopt : std::optional(static_cast<Disturbance::Kind>(rows_.back() - 1));
}

void Preferences::learn(std::uint64_t index, const std::string& outcome) {
  constexpr std::uint64_t rare = 100;
  std::uint64_t& count = seen_[outcome];
  const bool hit = count * rare <= iterations_;
  ++count;
  ++iterations_;
  if (placement_ != Placement::scheduler) placements_.learn(static_cast<int>(placement_) - 1, hit);
  disturbances_.learn(rows_[index % rows_.size()], hit);
}

}  // namespace faultline
