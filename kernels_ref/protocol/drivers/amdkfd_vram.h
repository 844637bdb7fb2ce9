// amdkfd's ranges in VRAM: their buffer object, its eviction, and children that inherit pages of it.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// The last page of a range leaves VRAM by a migration while the range is unmapped: who drops the BO?
Protocol svm_bo_release();
// A migration to VRAM needs room, so another BO is evicted by a worker; a writer wants the mmap lock.
Protocol vram_eviction();
// A child stores to a page that its parent has in VRAM, while the parent unmaps it.
Protocol child_of_vram();
// Parent and child hold the same descriptor, and both acquire its VM.
Protocol acquire_vm_after_fork();
// A range with a hole comes back from VRAM; one of its pages may fail to.
Protocol vram_with_a_hole();

}  // namespace faultline::ref::protocol
