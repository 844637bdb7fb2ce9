// Accesses of the GPU through the page tables of a process's ranges, without recoverable faults: by a queue of the process that
// the driver stops while an entry is old (svm_range_evict, svm_range_restore_work; drivers/gpu/drm/amd/amdkfd/kfd_svm.c).
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"

namespace faultline::ref {

// The page is mapped for the GPU first. An access without an entry stops the process's queues for good
// (kfd_process_vm_fault): MetBug::unresolved_fault.
Task<Result> queue_load(Cpu cpu, MirrorId id, Slot slot);
Task<Result> queue_store(Cpu cpu, MirrorId id, Slot slot, int value);

}  // namespace faultline::ref
