// Accesses with a memory order, by the CPU and by devices. A device does adjacent ones in one kernel.
#pragma once

#include <span>

#include "harness/executor/operation.h"

namespace faultline {

// Does the accesses that `statements` begin with, up to the first that has no order or is done by another device or by the
// CPU. They follow each other immediately, because only then can reordering show. Their results are recorded when all are
// done. Gives the number of accesses.
int run_ordered(const ThreadRun& run, std::span<const Statement> statements);

}  // namespace faultline
