// Decides whether an iteration that does not end hangs or is only slow. The decision looks at what its tasks did between
// samples. All functions here are pure functions over values.
//
// Elapsed time is no evidence, because on a busy machine anything may take any time. CPU time is: if a task asked for none,
// or got many times as much as it needs, then a faster machine would not help it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "harness/executor/samples.h"

namespace faultline {

// What happened between two samples of the same tasks.
struct Window {
  std::int64_t length_ns = 0;
  std::string moved;                  // what made progress; empty: nothing did
  std::string starved;                // why the window proves nothing: the machine did not serve the tasks; empty: it did
  std::string hungry;                 // the tasks wanted more CPU time than they got, so having little of it proves nothing
  double pressure = 0;                // the share of the time in which some task of the machine waited for a CPU
  std::int64_t run_ns = 0;            // CPU time of all tasks that do not wait for other threads
  std::map<pid_t, std::int64_t> ran;  // the same for each task
};
Window between(const Sample& before, const Sample& after);

// How much without progress is evidence of a hang, in nanoseconds.
struct Needs {
  std::int64_t still = 0;  // time in which the tasks used no CPU time
  std::int64_t polls = 0;  // time in which they got all the CPU time that they asked for
  std::int64_t cpu = 0;    // CPU time of one task
};

// `deadline_ms`: the deadline of an iteration. `usual_ns`: how long the statements of an iteration take in this run; 0 if
// no iteration has ended. `set_up_ns`: how long the first set-up took, in which a driver compiles its kernels.
Needs needs_of(int deadline_ms, std::int64_t usual_ns, std::int64_t set_up_ns);

// The windows of one iteration.
class Evidence {
 public:
  enum class Kind {
    none,
    still,  // no task asks for a CPU: they wait for something that does not come
    polls,  // tasks wake up again and again, get the CPU time that they ask for, and make no progress
    spins,  // a task computes, got many times the CPU time that it usually needs, and makes no progress
  };

  void add(const Window& window);
  Kind kind(const Needs& needs) const;
  // "no CPU time in 2.5 s", for a person.
  std::string text(const Needs& needs) const;
  double pressure() const { return watched_ns_ > 0 ? pressed_ns_ / static_cast<double>(watched_ns_) : 0; }

 private:
  std::int64_t most_cpu() const;

  std::int64_t still_ns_ = 0;
  std::int64_t fed_ns_ = 0;  // in which no task asked for more CPU time than it got
  std::int64_t watched_ns_ = 0;
  double pressed_ns_ = 0;
  std::map<pid_t, std::int64_t> ran_;
  std::string last_;  // why there is no evidence
};

// Result of a control iteration (control.h).
struct Control {
  enum class End {
    passed,
    slow,    // the machine is too slow for any verdict
    stuck,   // the plain part passed, but opening the device hangs too
    failed,  // the device cannot be opened
  };
  End end = End::passed;
  std::string text;
};
// `plain_ns`: how long it took to map, store, fork and load. `device_ns`: how long it took to open the devices. Each is nothing
// if that part did not end. `usual_*`: the same when all was well in this run. `waited`: the evidence about its wait for the
// device.
Control judge_control(std::optional<std::int64_t> plain_ns, std::int64_t usual_plain_ns, std::optional<std::int64_t> device_ns,
                      std::int64_t usual_device_ns, int error, Evidence::Kind waited);
// How long a part may take that usually takes `usual_ns`: a few times as long.
std::int64_t patience_ns(std::int64_t usual_ns);

}  // namespace faultline
