// Runs what a source of work asks for, slice by slice, on all targets in turn.
#pragma once

#include "harness/run/run.h"
#include "stress/campaign/work_source.h"

namespace faultline {

// Until RunOptions::seconds are over, it is stopped, or the source has no more work. The targets get equal shares of the time; one
// that is not there takes none from the others. Throws TargetNotHere as run() does.
//
// The result has each trial that found something. Of all others it has one for each target and verdict, without its outcomes: a
// campaign has thousands of them.
RunResult run_by_slices(WorkSource& source, const RunOptions& options, const Predictor& predictor, Journal& journal,
                        const RunEvents& events);

}  // namespace faultline
