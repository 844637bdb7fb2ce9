// Where a run by time gets its work from, slice by slice, if it is no fixed list of scenarios.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "harness/capabilities.h"
#include "harness/run/trial.h"

namespace faultline {

// One slice.
struct Work {
  std::shared_ptr<const Scenario> scenario;  // the same object for each slice of one scenario
  double seconds = 0;
  std::uint64_t iterations = 1'000'000'000;  // at most
  std::uint64_t seed = 0;
};

class WorkSource {
 public:
  virtual ~WorkSource() = default;

  // What runs next on `target` ("lab:dmirror"), which is up. Nothing: no more on it in this run.
  virtual std::optional<Work> next(const std::string& target, const Capabilities& can) = 0;

  // What a scenario has shown so far on trial.target, after each of its slices. `closed`: the run gives it no other slice, because
  // it cannot be run there, or because of a finding that ends it. Gives whether the source gives it no other slice: then the run
  // forgets the trial.
  virtual bool told(const Trial& trial, bool closed) = 0;
};

}  // namespace faultline
