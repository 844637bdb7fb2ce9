// drivers/gpu/drm/amd/amdkfd/kfd_svm.c: requests about ranges, and the driver's workers.
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"

namespace faultline::ref {

// svm_range_set_attr: the GPU may reach the pages (KFD_IOCTL_SVM_ATTR_ACCESS), and they shall be there or in system
// memory (KFD_IOCTL_SVM_ATTR_PREFETCH_LOC). Again where the driver says EAGAIN, as its library does.
Task<Result> svm_ioctl(Cpu cpu, MirrorId id, Slot from, Slot to, bool to_device);

// svm_range_validate_and_map of a range, or pages of it: an errno. The caller holds mmap_lock and svms->lock.
Task<int> svm_range_validate_and_map(Cpu cpu, MirrorId id, Slot from, Slot to, bool for_fault);

// svm_range_deferred_list_work, the handler of interrupts and svm_range_restore_work of every process.
Task<void> svm_workers(Cpu cpu);

}  // namespace faultline::ref
