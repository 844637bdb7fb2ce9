// One slice of work on a session, added to a trial: what the run and the Python module share.
#pragma once

#include "harness/run/session.h"
#include "harness/run/trial.h"

namespace faultline {

struct SliceEvents {
  // What the agent says, as it arrives; gives the line of the journal that it has become, or 0.
  std::function<std::uint64_t(const std::string& line)> raw;
  std::function<void()> tick;
  StopAsked stop;
};

// Runs the slice; `trial` gets what was seen and what went wrong, with the machine's last words. The
// session can be used again if it says so.
Session::Ended run_slice(Session& session, const Session::Slice& slice, Trial& trial, const SliceEvents& events);

}  // namespace faultline
