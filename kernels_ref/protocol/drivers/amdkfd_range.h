// drivers/gpu/drm/amd/amdkfd/kfd_svm.c: one SVM range, with XNACK on and off.
//
// XNACK on: the GPU faults and retries; invalidate() drops entries; faults of before an unmap are filtered
// by the checkpoint that it took. XNACK off: invalidate() evicts the queues, and a delayed worker restores
// them. In both, what an unmap leaves to be done with more locks goes onto the deferred list.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// A process whose GPU works on a page, whose page is replaced meanwhile, by a store after fork and by
// the kernel's own moving; it waits for the GPU, unmaps the page and exits.
Protocol amdkfd_xnack_on();
Protocol amdkfd_xnack_off();

}  // namespace faultline::ref::protocol
