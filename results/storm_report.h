// What a storm showed, gathered from its events, and its report. Pure functions and values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/agent/protocol.h"
#include "harness/run/verdict.h"
#include "harness/storm.h"
#include "stress/storms/leaks.h"

namespace faultline {

struct StormTally {
  StormPlan plan;
  std::string target;  // as the user named it
  std::string kernel;
  double seconds = 0;

  std::map<std::pair<std::string, int>, Durations> calls;  // by call and class of queue lengths
  std::map<std::string, std::uint64_t> counts;
  std::vector<StormNews> rounds;  // with the levels only
  std::uint64_t works = 0;        // working rounds

  std::vector<std::string> wrong;  // the first ones
  std::uint64_t wrongs = 0;
  std::vector<std::string> health;   // lines of the kernel log
  std::set<std::string> known;       // known findings in it
  std::vector<std::string> hang;     // its report
  std::vector<std::string> slow;     // of a hang that cannot be told from a slow machine
  std::string lost, skipped, error;  // why
  std::vector<std::string> words;    // the last ones of a lost machine
  bool interrupted = false;
  std::optional<double> first_finding_s;

  void add(const StormNews& news);
  void add(const Hang& hang);
};

// Its hang, if any, as lines. Threads that are at the same place are one block.
std::vector<std::string> hang_lines(const Hang& hang);

// `leaks`: of judge_levels(). A leak is a finding of its own; it counts as `health`.
Verdict verdict_of(const StormTally& storm, const std::vector<storms::LevelVerdict>& leaks);

// "8-15", for a class of queue lengths.
std::string queue_text(int queue);
// "830 ns", "1.2 ms"
std::string duration_text(std::uint64_t ns);
// A histogram on a logarithmic axis as one line: a column for a fifth of a decade from 1 us to 100 s, darker where more are.
std::string strip_text(const Durations& durations);

// Percentiles and a histogram for each call and queue length.
std::string distributions_text(const StormTally& storm);
std::string storm_text(const StormTally& storm, const std::vector<storms::LevelVerdict>& leaks);

}  // namespace faultline
