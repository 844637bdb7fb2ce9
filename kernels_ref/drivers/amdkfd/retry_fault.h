// Accesses of the GPU through the page tables of a process's ranges, with recoverable faults: gmc_v9_0_process_interrupt,
// amdgpu_vm_handle_fault and svm_range_restore_pages (drivers/gpu/drm/amd/amdkfd/kfd_svm.c).
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"

namespace faultline::ref {

// The engine tries again until its entry is there. If the driver gives up: MetBug::unresolved_fault.
Task<Result> gpu_load(Cpu cpu, MirrorId id, Slot slot);
Task<Result> gpu_store(Cpu cpu, MirrorId id, Slot slot, int value);

// Whether the driver is at work on a fault on one of the pages, or may be: its interrupt may be in the ring once more.
bool answers_fault(const World& world, Slot first, Slot last);

// An interrupt for an attempt that came before another one was answered. The driver drops such interrupts within 2 ms
// (AMDGPU_SVM_RANGE_RETRY_FAULT_PENDING), but its worker may have waited longer than that for a CPU.
Task<void> repeated_fault(Cpu cpu, MirrorId id, Slot slot);

}  // namespace faultline::ref
