// Accesses of the GPU through the page tables of a process's ranges, with recoverable faults: gmc_v9_0_process_interrupt,
// amdgpu_vm_handle_fault and svm_range_restore_pages (drivers/gpu/drm/amd/amdkfd/kfd_svm.c).
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"

namespace faultline::ref {

// The engine tries again until its entry is there. MetBug::unresolved_fault where the driver gives up.
Task<Result> gpu_load(Cpu cpu, MirrorId id, Slot slot);
Task<Result> gpu_store(Cpu cpu, MirrorId id, Slot slot, int value);

// An interrupt for a try that was made before the answer to another one. The driver drops those of the last 2 ms
// (AMDGPU_SVM_RANGE_RETRY_FAULT_PENDING), but its worker may have had to wait for a CPU for longer.
Task<void> repeated_fault(Cpu cpu, MirrorId id, Slot slot);

}  // namespace faultline::ref
