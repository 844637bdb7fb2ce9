// What can be done to the pages of a scenario on a machine that the bench has to itself.
#pragma once

#include "harness/executor/disturbance.h"
#include "harness/program.h"
#include "harness/target.h"

namespace faultline {

// For the virtual lab only: a person's swap is not ours. Gives the machine swap on a compressed RAM disk, or on a plain one where
// there is no zram, if the Program bears it on this target. Takes it away if the Program has MADV_PAGEOUT, which the reference
// knows only without swap.
PageMeans arrange_page_means(const Program& program, const Target& target);

}  // namespace faultline
