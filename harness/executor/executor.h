// Runs a Program on a target with real processes, threads and signals, and reports the outcomes.
//
// execute() makes the calling process the *runner*. The runner forks the root processes and becomes the child subreaper
// of everything below them. Before an iteration begins, the processes of the last one are torn down completely. The
// calling process must be single-threaded and have no other children; the agent forks such a process for each run.
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
  std::uint64_t batch = 0;               // iterations per batch; 0: as many as take a fraction of a second
  int deadline_ms = 5000;                // for one iteration, from the start of its threads
  std::optional<Parameters> parameters;  // use these instead of drawing them
  int set_up_ms = 120'000;               // for the set-up; on a busy machine a driver may compile kernels for a long time
  PageMeans pages;                       // if the target bears it; the agent knows (page_means.h)
  friend bool operator==(const RunPlan&, const RunPlan&) = default;
};

struct SeenOutcome {
  Outcome texts;
  std::uint64_t count = 0;
  std::uint64_t first = 0;  // the first iteration that showed it
  friend bool operator==(const SeenOutcome&, const SeenOutcome&) = default;
};

struct Batch {
  std::uint64_t first = 0;
  std::uint64_t count = 0;  // iterations that gave an outcome
  Parameters parameters;
  std::vector<SeenOutcome> outcomes;
  std::uint64_t ns = 0;
  CommandTimes times;  // of device commands, if the driver reports them; includes those of the set-up and of observes
  friend bool operator==(const Batch&, const Batch&) = default;
};

// Where a task was when an iteration did not end.
struct ThreadPlace {
  std::string thread;  // name in the Program; empty for a thread of a driver or of the bench
  int tid = 0;
  std::string statement;  // the statement that it was in, or the step of its process; empty when it was done
  std::string state;      // from /proc/TID/stat; empty when the task is gone
  std::string wchan;
  std::string syscall;
  std::vector<std::string> stack;
  std::string process;  // name in the Program; empty for a process that a driver started
  std::string command;  // the kernel's name for the task (comm)
  int pid = 0;
  std::int64_t cpu_ms = 0;
  friend bool operator==(const ThreadPlace&, const ThreadPlace&) = default;
};

// An iteration that did not end.
struct Hang {
  std::uint64_t iteration = 0;
  bool stuck = false;  // something survives SIGKILL
  bool slow = false;   // not a hang: it made progress, or the machine was too slow for a verdict
  std::vector<ThreadPlace> threads;
  bool once = false;             // it did not hang again when the iteration was repeated
  std::string set_up;            // not empty: no hang, but the set-up took too long; what its processes were doing
  std::vector<std::string> why;  // what is known about it, one line each
  friend bool operator==(const Hang&, const Hang&) = default;
};

// A function of the device's driver, and the thread that was in it.
struct DriverPlace {
  std::string function;
  std::string thread;  // name in the Program
  std::string where;   // "at r0 (line 8)", "in the set-up of the iteration"
  friend bool operator==(const DriverPlace&, const DriverPlace&) = default;
};

// The device's driver ended a process under test.
struct Crash {
  std::uint64_t iteration = 0;
  std::string what;      // "took SIGSEGV at address 0x10", "ended the process with status 3"
  bool in_call = false;  // the thread in `places` crashed; otherwise a thread of the driver did, or it is not known which
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
  // What the device's driver said about a request that failed or did not return.
  virtual void driver(std::uint64_t iteration, const std::string& words) = 0;
  virtual bool stop_requested() = 0;
  // Called several times a minute while an iteration takes long, to show that the run goes on.
  virtual void alive() {}
};

// Which page frame a process has at an address. Nothing if no page is present or the frame cannot be found out.
class Frames {
 public:
  virtual ~Frames() = default;
  virtual std::optional<std::uint64_t> frame(pid_t pid, std::uintptr_t address) = 0;
};

struct Experience;  // bandit.h

// Gives how many iterations had an outcome. `frames` may be null if the Program observes no `same`. `learnt`: on this target so far,
// and what this run adds to it; null: nothing is known.
std::uint64_t execute(const Program& program, Target& target, Frames* frames, const RunPlan& plan, RunListener& listener,
                      Experience* learnt = nullptr);

}  // namespace faultline
