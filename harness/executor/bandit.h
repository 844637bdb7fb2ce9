// Which parameters are drawn more often: those that produced rare outcomes on this target (Thompson sampling).
//
// Each way of placing threads, and each kind of disturbance, is an arm of a bandit. An iteration is a try of its arm. It is a
// hit if its outcome was rare: seen in less than one in a hundred of the iterations so far, or never. A draw takes a number
// from the Beta distribution of each arm's hits and misses, and the arm with the largest number wins. So an arm that nothing
// is known of is drawn as often as the best one, and no arm is ever left out. The draws follow from the seed and the outcomes.
//
// What is learnt is of the target and outlives a run: a campaign runs a scenario for a second or two, and most kinds of disturbance are
// drawn a few times in it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/executor/parameters.h"

namespace faultline {

struct Arm {
  double hits = 0;
  double misses = 0;
};

class Bandit {
 public:
  explicit Bandit(std::span<Arm> arms) : arms_(arms) {}
  int draw(std::mt19937_64& random) const;
  void learn(int arm, bool hit);

 private:
  std::span<Arm> arms_;
};

// What was learnt on a target. All zero: nothing yet. It may lie in memory that an agent shares with its runners, one after the
// other: a runner that is killed while it writes loses a try.
struct Experience {
  std::array<Arm, placement_ways - 1> placements;  // all but Placement::scheduler
  std::array<Arm, 1 + disturbance_kinds> disturbances;
};

// What a run prefers, for one scenario on one target. draw_parameters() asks it for a batch, then the batch's outcomes teach it
// and `learnt`.
class Preferences {
 public:
  explicit Preferences(Experience& learnt) : placements_(learnt.placements), disturbances_(learnt.disturbances) {}
  // The placement of the next batch. Half of the batches leave it to the scheduler: several threads on one CPU take longer.
  Placement placement(std::mt19937_64& random);
  // The kind of disturbance of that batch's next row. Nothing: none. Whether the row then gets one is another draw. So a kind
  // that takes long, and is seldom kept, has to show the more for it.
  std::optional<Disturbance::Kind> disturbance(std::mt19937_64& random);
  // Iteration `index` of that batch showed the outcome with this key (OutcomeReader::key()).
  void learn(std::uint64_t index, const std::string& outcome);

 private:
  Bandit placements_;
  Bandit disturbances_;
  Placement placement_ = Placement::scheduler;  // of the batch
  std::vector<int> rows_;                       // arms of disturbances_, by row of the batch
  std::unordered_map<std::string, std::uint64_t> seen_;
  std::uint64_t iterations_ = 0;
};

}  // namespace faultline
