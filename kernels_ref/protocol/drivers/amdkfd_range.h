// drivers/gpu/drm/amd/amdkfd/kfd_svm.c: one SVM range, with XNACK on and off.
//
// XNACK on: the GPU faults and retries, and invalidate() drops entries. An unmap takes a checkpoint, and faults
// from before it are dropped. XNACK off: invalidate() evicts the queues, and a delayed worker restores them. In
// both, an unmap puts work that needs more locks onto the deferred list.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// A GPU works on a page of a process. Meanwhile a store after fork and the kernel itself (reclaim, compaction)
// replace the page. The process waits for the GPU, unmaps the page and exits.
Protocol amdkfd_xnack_on();
Protocol amdkfd_xnack_off();

}  // namespace faultline::ref::protocol
