// Accesses with an order: of the CPU, and of devices, which do neighbouring ones in one kernel.
#pragma once

#include <span>

#include "harness/executor/operation.h"

namespace faultline {

// Does the ones that `statements` begin with, as far as the same CPU or device does them, one right behind the
// other: what the order leaves open shows only there. Their results are told when all are done. Gives how many
// there are.
int run_ordered(const ThreadRun& run, std::span<const Statement> statements);

}  // namespace faultline
