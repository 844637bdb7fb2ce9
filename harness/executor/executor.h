// Runs a Program on a target with real processes, threads and signals, and tells what was seen.
//
// execute() makes the calling process the *runner*: it forks the root processes, becomes the reaper of
// everything below them, and waits for a teardown to end before the next iteration begins. It must be
// called in a single-threaded process without other children (the agent forks one for each run).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/executor/parameters.h"
#include "harness/outcome.h"
#include "harness/target.h"
#include "harness/times.h"

namespace faultline {

struct RunPlan {
  std::uint64_t seed = 1;
  std::uint64_t iterations = 1000;
  std::uint64_t batch = 0;               // iterations of one batch; 0: what takes a part of a second
  int deadline_ms = 5000;                // of one iteration, from the start of its threads on
  std::optional<Parameters> parameters;  // instead of drawing them
  int set_up_ms = 120'000;               // before that: a driver may compile kernels for a long time on a busy machine
  friend bool operator==(const RunPlan&, const RunPlan&) = default;
};

struct SeenOutcome {
  Outcome texts;
  std::uint64_t count = 0;
  std::uint64_t first = 0;  // the iteration that showed it first
  friend bool operator==(const SeenOutcome&, const SeenOutcome&) = default;
};

struct Batch {
  std::uint64_t first = 0;
  std::uint64_t count = 0;  // iterations that gave an outcome
  Parameters parameters;
  std::vector<SeenOutcome> outcomes;
  std::uint64_t ns = 0;
  CommandTimes times;  // of its devices, where their drivers tell them; with what set_up and observes need
  friend bool operator==(const Batch&, const Batch&) = default;
};

// Where a task was when an iteration did not end.
struct ThreadPlace {
  std::string thread;  // name in the Program; empty for one of a driver, or of the bench
  int tid = 0;
  std::string statement;  // that it was in, or the step of its process; empty when it was done
  std::string state;      // of /proc/TID/stat; empty when the task is gone
  std::string wchan;
  std::string syscall;
  std::vector<std::string> stack;
  std::string process;  // name in the Program; empty for one that a driver has started
  std::string command;  // what the kernel calls the task
  int pid = 0;
  std::int64_t cpu_ms = 0;
  friend bool operator==(const ThreadPlace&, const ThreadPlace&) = default;
};

// An iteration that did not end.
struct Hang {
  std::uint64_t iteration = 0;
  bool stuck = false;  // something survives SIGKILL
  bool slow = false;   // not a hang: it got on, or the machine was too slow for anything
  std::vector<ThreadPlace> threads;
  bool once = false;             // it did not come back when the iteration was repeated
  std::string set_up;            // not a hang: what its processes did when the limit of the set-up passed
  std::vector<std::string> why;  // what is known of it, a line each
  friend bool operator==(const Hang&, const Hang&) = default;
};

// A function of the device's driver that a thread was in.
struct DriverPlace {
  std::string function;
  std::string thread;  // name in the Program
  std::string where;   // "at r0 (line 8)", "in the set-up of the iteration"
  friend bool operator==(const DriverPlace&, const DriverPlace&) = default;
};

// The device's driver has ended a process under test.
struct Crash {
  std::uint64_t iteration = 0;
  std::string what;      // "took SIGSEGV at address 0x10", "ended the process with status 3"
  bool in_call = false;  // by the thread that was there; else by one of the driver's own, or nobody tells by which
  std::vector<DriverPlace> places;
  friend bool operator==(const Crash&, const Crash&) = default;
};

// Called by execute() as things happen.
class RunListener {
 public:
  virtual ~RunListener() = default;
  virtual void batch(const Batch& batch) = 0;
  virtual void hang(const Hang& hang) = 0;
  virtual void crash(const Crash& crash) = 0;
  virtual void error(const std::string& message) = 0;  // of the bench itself
  // What the device's driver said of a request that failed, or that did not return.
  virtual void driver(std::uint64_t iteration, const std::string& words) = 0;
  virtual bool stop_requested() = 0;
  // Several times a minute while an iteration takes long: the run goes on.
  virtual void alive() {}
};

// Which page frame a process sees at an address; nothing when no page is present or it cannot be told.
class Frames {
 public:
  virtual ~Frames() = default;
  virtual std::optional<std::uint64_t> frame(pid_t pid, std::uintptr_t address) = 0;
};

// How many iterations gave an outcome. `frames` may be null when no `same` is observed.
std::uint64_t execute(const Program& program, Target& target, Frames* frames, const RunPlan& plan, RunListener& listener);

}  // namespace faultline
