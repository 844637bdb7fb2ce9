// A trial: the results of one scenario on one target in a run. A plain value; reports are made from it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
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
  std::string file;  // as the user named it, for messages and for the command that repeats it
  std::string text;
  Program program;
};

// How often an outcome was seen, and where it was first seen.
struct Tally {
  std::uint64_t count = 0;
  std::uint64_t seed = 0;              // of the slice
  std::uint64_t iteration = 0;         // of the slice
  std::uint64_t batch_seed = 0;        // what the batch's parameters were drawn from
  std::vector<int> cpus;               // where its threads ran; -1: any CPU
  std::uint64_t line = 0;              // of the journal, where all parameters of the batch are; 0: not in a journal
  std::vector<std::string> disturbed;  // what disturbed that iteration, in words (harness/executor/disturbance.h)
};

struct Trial {
  std::string file;
  std::string target;  // "lab:dmirror"
  std::string kernel;  // "6.1.158"; empty if no machine came up
  std::string commit;  // what it was built from, if that is known
  std::string device;  // the device and its driver, if the target's name does not tell
  Program program;
  Allowed allowed;  // limited to what the target can see
  std::map<Outcome, Tally> seen;
  std::uint64_t iterations = 0;
  CommandTimes times;  // of the device's commands
  DriverCalls calls;   // in all slices; set-up and observation included
  double seconds = 0;
  std::uint64_t seed = 0;
  bool started = false;  // false: it never ran (the run was interrupted first)

  // What else happened, in words for a person.
  std::string skipped;              // why it was skipped
  std::string undecided;            // why there is no verdict
  std::string error;                // what failed in the bench
  std::vector<std::string> health;  // lines of the kernel log
  std::set<std::string> known;      // known findings that the kernel log reported instead, by name
  std::vector<std::string> driver;  // what the device's driver said
  std::string crash;                // the first crash of the driver: "iteration 17: ..."
  std::uint64_t crashes = 0;
  std::string hang;                  // "iteration 17: ..."
  std::vector<std::string> threads;  // for `hang`, or for a hang that left it undecided: the evidence, and where the threads were
  int hung_once = 0;                 // iterations that hung, but did not hang when they were repeated
  std::uint64_t slow = 0;            // iterations past their deadline that are no hangs: slow, or the machine was
  std::string slow_why;              // why the last of them is no hang
  std::string lost;                  // how the machine died
  std::vector<std::string> words;    // the last words of that machine
  int machines_lost = 0;
  std::vector<std::string> gpu;  // what a GPU in software did last before the first finding
  std::string gpu_log;           // where all that it did is
  bool given_up = false;  // not continued: two machines lost, one stuck, not the protocol, or a finding of the lab's kernel
};

// The verdict on the worst that happened. `forbidden` comes first, because it names an outcome.
Verdict verdict(const Trial& trial);
// Why the verdict is not `agree`, in one line. Empty for agree.
std::string reason(const Trial& trial);

// The outcomes that make the trial forbidden (or inconclusive, if the prediction is incomplete).
std::vector<Outcome> not_allowed(const Trial& trial);
// The allowed outcomes that were never seen.
std::vector<Outcome> never_seen(const Trial& trial);
std::size_t allowed_seen(const Trial& trial);  // how many allowed outcomes were seen

// The number of iterations in which the target could not see an observable, by its key and its text "gap (why)". They count for
// no claim that names the observable, and do not show any allowed outcome.
std::map<std::pair<std::string, std::string>, std::uint64_t> gaps(const Trial& trial);

// How often a claim's condition held, and how often not. Nothing if the target cannot observe what the condition is about.
struct ClaimCount {
  std::uint64_t holds = 0;
  std::uint64_t fails = 0;
};
std::optional<ClaimCount> count(const Claim& claim, const Trial& trial);

}  // namespace faultline
