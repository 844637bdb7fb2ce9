// Makes the scenario of a finding small, as long as the finding shows often enough. It knows no kernel: who uses it runs each
// candidate, and tells how often the finding showed.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/program.h"

namespace faultline {

class Shrinker {
 public:
  // `rate`: the share of the iterations of `program` in which the finding shows, above 0. `keep`: a candidate is taken if it shows
  // the finding in at least this share of the first rate.
  Shrinker(const Program& program, double rate, double keep = 0.25);

  // The next candidate: a valid scenario, smaller than program(), that was not tried before. They come in the same order for the
  // same answers: first whole processes and threads, then statements, observes, pages. Nothing if no candidate is left.
  std::optional<Program> next();
  // The rate of the candidate that next() gave last. It is a measured one, so it may be wrong: what shows rarely is tried often
  // enough if it is run for iterations_wanted() iterations, or until it has shown `sightings_wanted` times.
  void told(double rate);

  double least_rate() const { return least_; }
  static constexpr int sightings_wanted = 5;
  std::size_t iterations_wanted() const;

  const Program& program() const { return best_; }  // the smallest one so far
  double rate() const { return rate_; }
  int tried() const { return static_cast<int>(seen_.size()) - 1; }

 private:
  bool fill();

  Program best_;
  double rate_;
  double least_;
  std::vector<Program> candidates_;  // of this step, made of best_
  std::size_t at_ = 0;               // the next one
  std::size_t step_ = 0;
  bool changed_ = false;        // in this round of steps
  std::set<std::string> seen_;  // texts
  std::optional<Program> asked_;
};

// What is in the way of reading a scenario: processes, threads, statements, pages, observes. Every candidate has less of it.
std::size_t weight(const Program& program);

}  // namespace faultline
