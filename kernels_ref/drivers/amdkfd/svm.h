// drivers/gpu/drm/amd/amdkfd/kfd_svm.c: requests about ranges, and the driver's workers.
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"

namespace faultline::ref {

// svm_range_set_attr: lets the GPU access the pages (KFD_IOCTL_SVM_ATTR_ACCESS), and moves them to the GPU or to system
// memory (KFD_IOCTL_SVM_ATTR_PREFETCH_LOC). Tries again if the driver returns EAGAIN, as the driver's library does.
Task<Result> svm_ioctl(Cpu cpu, MirrorId id, Slot from, Slot to, bool to_device);

// svm_range_set_attr: lets the GPU access one page (KFD_IOCTL_SVM_ATTR_ACCESS) before an access. Returns 0 or an errno. A range
// that has the attribute is left as it is, mapped or not.
Task<int> svm_give_access(Cpu cpu, MirrorId id, Slot slot);

// svm_range_validate_and_map of a range or of part of it. Returns 0 or an errno. The caller holds mmap_lock and svms->lock.
Task<int> svm_range_validate_and_map(Cpu cpu, MirrorId id, Slot from, Slot to, bool for_fault);

// For every process: svm_range_deferred_list_work, the interrupt handler and svm_range_restore_work.
Task<void> svm_workers(Cpu cpu);

}  // namespace faultline::ref
