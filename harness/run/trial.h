// A trial: what one scenario showed on one target in a run. A plain value; reports are made from it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/allowed.h"
#include "harness/driver_calls.h"
#include "harness/outcome.h"
#include "harness/program.h"
#include "harness/run/verdict.h"
#include "harness/times.h"

namespace faultline {

struct Scenario {
  std::string file;  // as the person named it, for messages and for the command that shows it again
  std::string text;
  Program program;
};

// How often an outcome was seen, and where it was seen first.
struct Tally {
  std::uint64_t count = 0;
  std::uint64_t seed = 0;        // of the slice
  std::uint64_t iteration = 0;   // of the slice
  std::uint64_t batch_seed = 0;  // what the batch's parameters were drawn from
  std::vector<int> cpus;         // where its threads ran; -1 for free
  std::uint64_t line = 0;        // of the journal, which has all its parameters; 0: not journalled
};

struct Trial {
  std::string file;
  std::string target;  // "lab:dmirror"
  std::string kernel;  // "6.1.158"; empty when no machine came up
  std::string device;  // and its driver, where the target's name does not tell
  Program program;
  Allowed allowed;  // as the target can see it
  std::map<Outcome, Tally> seen;
  std::uint64_t iterations = 0;
  CommandTimes times;  // of the device's commands
  DriverCalls calls;   // in all of them, and before and after
  double seconds = 0;
  std::uint64_t seed = 0;
  bool started = false;  // false: it never ran (the run was interrupted first)

  // What else happened, each with words for a person.
  std::string skipped;              // why
  std::string undecided;            // why nothing can be said
  std::string error;                // of the bench
  std::vector<std::string> health;  // lines of the kernel log
  std::vector<std::string> driver;  // what the device's driver said
  std::string crash;                // of the driver, the first one: "iteration 17: ..."
  std::uint64_t crashes = 0;
  std::string hang;                  // "iteration 17: ..."
  std::vector<std::string> threads;  // why it is taken for one, and where they were; of what is undecided too
  int hung_once = 0;                 // iterations that hung and did not when they were repeated
  std::uint64_t slow = 0;            // iterations past their deadline on a machine too slow to tell a hang
  std::string slow_why;              // of the last one
  std::string lost;                  // how the machine died
  std::vector<std::string> words;    // its last ones
  int machines_lost = 0;
  bool given_up = false;  // not run further, after the machine was lost again
};

// The worst that happened; `forbidden` first, since it names an outcome.
Verdict verdict(const Trial& trial);
// One line: why it is not plain agreement; empty for agree.
std::string reason(const Trial& trial);

// The outcomes that make it forbidden (or inconclusive, where the prediction is incomplete).
std::vector<Outcome> not_allowed(const Trial& trial);
// The allowed outcomes that were never seen.
std::vector<Outcome> never_seen(const Trial& trial);
std::size_t allowed_seen(const Trial& trial);  // how many were

// Iterations in which the target could not tell an observable, and why, in words: "gap (why)". They count for no
// claim that names it, and show nothing that is allowed.
std::map<std::pair<std::string, std::string>, std::uint64_t> gaps(const Trial& trial);

// Counts of outcomes for which a claim's condition holds and does not; empty when the target cannot
// observe what it is about.
struct ClaimCount {
  std::uint64_t holds = 0;
  std::uint64_t fails = 0;
};
std::optional<ClaimCount> count(const Claim& claim, const Trial& trial);

}  // namespace faultline
