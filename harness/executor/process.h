// The lives of the processes under test: roots, which may live for many iterations, and forked children.
//
// In each process one thread is the leader: it sets the process up, runs the statements of the first
// thread, and when those are done it obeys the runner (loads for observes) until the process is killed or
// the next iteration comes.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// In the process that the runner has just forked for a root.
[[noreturn]] void live_as_root(const ProcessContext& prototype, int process);

// In the child that an operation has just forked.
[[noreturn]] void live_as_child(ProcessContext& parent, int process);

}  // namespace faultline
