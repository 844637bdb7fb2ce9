// Swap for reclaim (Disturbance::Kind::reclaim), on a machine that the bench has to itself.
#pragma once

#include "harness/program.h"
#include "harness/target.h"

namespace faultline {

// For the virtual lab only: a person's swap is not ours. Gives the machine swap on a RAM disk if the Program bears it on this
// target, and takes it away if the Program has MADV_PAGEOUT, which the reference knows only without swap.
// True if there is swap for reclaim now.
bool arrange_swap(const Program& program, const Target& target);

}  // namespace faultline
