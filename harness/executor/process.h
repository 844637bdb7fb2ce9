// The processes under test: roots, which may live for many iterations, and forked children.
//
// In each process one thread is the leader. It sets the process up and runs the statements of the first thread. After
// those it obeys commands of the runner, such as loads for observes, until the process is killed or the next iteration
// begins.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// Called in a process that the runner has just forked for a root.
[[noreturn]] void live_as_root(const ProcessContext& prototype, int process);

// Called in a child that an operation has just forked. `round` is that of the iteration, read before the fork: a child without
// statements may be so late that the next one has begun.
[[noreturn]] void live_as_child(ProcessContext& parent, int process, std::uint32_t round);

}  // namespace faultline
