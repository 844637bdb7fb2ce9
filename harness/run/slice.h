// Runs one slice of work on a session and adds the results to a trial. Shared by the run and the Python module.
#pragma once

#include "harness/run/session.h"
#include "harness/run/trial.h"

namespace faultline {

struct SliceEvents {
  // Gets each line of the agent as it arrives. Returns its line number in the journal, or 0.
  std::function<std::uint64_t(const std::string& line)> raw;
  std::function<void()> tick;
  // Called when something new is in the trial: an outcome, a report of the kernel log, a hang, a crash, a lost machine. May be
  // empty.
  std::function<void()> news;
  StopAsked stop;
};

// Runs the slice. `trial` gets the outcomes and what went wrong, with the machine's last words. Afterwards Session::usable()
// says whether the session can be used again.
Session::Ended run_slice(Session& session, const Session::Slice& slice, Trial& trial, const SliceEvents& events);

// A driver drives no device: `trial` gets its words in the kernel's log, with those of the lab, and what a GPU in software was
// asked until now.
void keep_words_of_driver(const Machine& machine, const std::string& driver, Trial& trial);

}  // namespace faultline
