// Runs a storm: rounds of processes under stress, what they measured and found, and the levels of the machine after each.
#pragma once

#include <cstdint>
#include <string>

#include "harness/executor/executor.h"
#include "harness/storm.h"
#include "harness/target.h"

namespace faultline::storms {

class Listener {
 public:
  virtual ~Listener() = default;
  virtual void news(const StormNews& news) = 0;  // after every round, working or idle
  virtual void hang(const Hang& hang) = 0;       // Hang::iteration is the round
  virtual void error(const std::string& message) = 0;
  virtual void alive() = 0;  // several times a minute
  virtual bool stop_requested() = 0;
};

// Gives the number of working rounds. The caller has one thread and no children; it becomes a child subreaper.
std::uint64_t run_storm(const StormPlan& plan, Target& target, Listener& listener);

}  // namespace faultline::storms
