// amdgpu's GPUs as targets that need only the kernel and libdrm. Loads and stores are SDMA copies from and to pages of
// the process (userptr). Migrations and events come from KFD's SVM. Shaders are tested through OpenCL (opencl_tests/).
//
// Each job looks its pages up anew, and the interval notifier waits for the job. So a job sees a concurrent change of the
// mapping entirely or not at all. Recoverable faults allow the same outcomes.
//
// ".../xnack-on/svm": the copies use the process's own addresses and go through the GPU PTEs of the SVM ranges. They fault
// where there is no PTE. KFD's ACQUIRE_VM makes the render node's VM the process's VM, so a fault with its pasid reaches
// svm_range_restore_pages(). There is no such target with XNACK off: an invalidation then only stops KFD's queues and
// leaves the PTEs in place (svm_range_evict). Our job is in none of those queues and would follow the stale PTEs. On a real
// kernel this target hangs now and then: drm_gpu_scheduler puts jobs on the paging queue too (amdgpu_ring_init), where one
// that faults is in the way of the driver's own copy.
//
// ".../xnack-on/queues", ".../xnack-off/queues": the same copies by queues of the process's own (user_queue.h), which KFD does
// stop. With XNACK off, nothing waits for a page: each access first asks the driver to map it (KFD_IOCTL_SVM_ATTR_ACCESS).
#pragma once

#include <memory>
#include <vector>

#include "harness/gpu.h"
#include "harness/target.h"

namespace faultline::amdgpu {

// One target for each GPU of amdgpu and each of its XNACK modes ("amdgpu:0000:03:00.0/xnack-on"), and those on SVM ranges.
// Without such a GPU: a single target that is unavailable and says why.
std::vector<std::unique_ptr<Target>> amdgpu_targets(const std::vector<Gpu>& gpus);

}  // namespace faultline::amdgpu
