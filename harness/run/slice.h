// Runs one slice of work on a session and adds the results to a trial. Shared by the run and the Python module.
#pragma once

#include "harness/run/session.h"
#include "harness/run/trial.h"

namespace faultline {

struct SliceEvents {
  // Gets each line of the agent as it arrives. Returns its line number in the journal, or 0.
  std::function<std::uint64_t(const std::string& line)> raw;
  std::function<void()> tick;
  StopAsked stop;
};

// Runs the slice. `trial` gets the outcomes and what went wrong, with the machine's last words. Afterwards Session::usable()
// says whether the session can be used again.
Session::Ended run_slice(Session& session, const Session::Slice& slice, Trial& trial, const SliceEvents& events);

}  // namespace faultline
