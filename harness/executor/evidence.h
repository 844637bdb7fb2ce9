// Whether an iteration that does not end hangs, or is slow: decided by what its tasks did between two samples, and
// between many. Pure functions over values.
//
// Time alone is no evidence: on a busy machine anything may take any time. What counts is CPU time: a task that
// asked for none, or got as much as would have been enough many times over, will not do better on a faster machine.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "harness/executor/samples.h"

namespace faultline {

// What happened between two samples of the same tasks.
struct Window {
  std::int64_t length_ns = 0;
  std::string moved;                  // what got on; empty: nothing did
  std::string starved;                // why nothing can be concluded from it: the machine was not there; empty: it was
  std::string hungry;                 // why it does not count against tasks that got little CPU time: they asked for more
  double pressure = 0;                // the share of the time in which some task of the machine waited for a CPU
  std::int64_t run_ns = 0;            // CPU time of all tasks that do not wait for others
  std::map<pid_t, std::int64_t> ran;  // and of each
};
Window between(const Sample& before, const Sample& after);

// How much is enough, in nanoseconds.
struct Needs {
  std::int64_t still = 0;  // without CPU time
  std::int64_t polls = 0;  // with a little, and never short of it
  std::int64_t cpu = 0;    // CPU time of one task
};

// `deadline_ms` of an iteration. `usual_ns`: what the statements of one take in this run; 0 where none has ended.
// `set_up_ns`: what the first set-up took, in which a driver builds what it needs.
Needs needs_of(int deadline_ms, std::int64_t usual_ns, std::int64_t set_up_ns);

// The windows of one iteration.
class Evidence {
 public:
  enum class Kind {
    none,
    still,  // nothing asks for a CPU: it waits for what does not come
    polls,  // it looks again and again, gets every CPU that it asks for, and does not get on
    spins,  // it computes, has got enough for many times what it usually takes, and does not get on
  };

  void add(const Window& window);
  Kind kind(const Needs& needs) const;
  // "no CPU time in 2.5 s", for a person.
  std::string text(const Needs& needs) const;
  double pressure() const { return watched_ns_ > 0 ? pressed_ns_ / static_cast<double>(watched_ns_) : 0; }

 private:
  std::int64_t most_cpu() const;

  std::int64_t still_ns_ = 0;
  std::int64_t fed_ns_ = 0;  // in which nothing asked for more CPU time than it got
  std::int64_t watched_ns_ = 0;
  double pressed_ns_ = 0;
  std::map<pid_t, std::int64_t> ran_;
  std::string last_;  // why there is no evidence
};

// What a control iteration showed: a fresh process that does nothing special.
struct Control {
  enum class End {
    passed,
    slow,    // too slow for any verdict
    stuck,   // it passed but for the device, where it gets no further either
    failed,  // the device does not open
  };
  End end = End::passed;
  std::string text;
};
// `plain_ns`: what mapping, storing, forking and loading took; `device_ns`: opening the devices, each nothing where it did
// not come to an end. `usual_*`: the same in this run, when all was well. `waited`: of what it waits for, if it waits.
Control judge_control(std::optional<std::int64_t> plain_ns, std::int64_t usual_plain_ns, std::optional<std::int64_t> device_ns,
                      std::int64_t usual_device_ns, int error, Evidence::Kind waited);
// A few times that: how long each may take.
std::int64_t patience_ns(std::int64_t usual_ns);

}  // namespace faultline
