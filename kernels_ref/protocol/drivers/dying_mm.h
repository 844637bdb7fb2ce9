// Faults against a process that exits, and hmm_mirror_mm_down_read() of March 2019 with its unlocked look at
// hmm->dead: "is the mm dying?".
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// World::count.
enum DyingCount : int {
  wasted_work,     // steps of faults after the exit has begun; their results are thrown away
  teardown_delay,  // steps of faults for which the exit waits, because they hold mmap_sem
};

// A device context that is given up after `faults` faults, while the process exits. Its outcome: how many
// faults mapped a page, and the device's entry at the end.
Protocol dying_mm(int faults);
// Two device contexts of one mm.
Protocol dying_mm_two_contexts(int faults);
// hmm_mirror_mm_down_read() itself while the process exits. Its outcome: what it returned, and whether mmap_sem was held.
enum class Mirror { there, missing, without_hmm };
Protocol mm_down_read(Mirror mirror);

}  // namespace faultline::ref::protocol
