// amdgpu's GPUs as targets that need only the kernel and libdrm. Loads and stores are SDMA copies from and to pages of
// the process (userptr). Migrations and events come from KFD's SVM. Shaders are tested through OpenCL (opencl_tests/).
//
// Each job looks its pages up anew, and the interval notifier waits for the job. So a job sees a concurrent change of the
// mapping entirely or not at all. Recoverable faults allow the same outcomes.
//
// ".../xnack-on/svm", ".../xnack-off/svm": the copies are those of queues that the process has of KFD (user_queue.h), as in
// ROCm. They use the process's own addresses and go through the GPU PTEs of the SVM ranges. With XNACK on, they fault where
// there is no PTE. With XNACK off, nothing waits for a page: each access first asks the driver to map it
// (KFD_IOCTL_SVM_ATTR_ACCESS), and an invalidation stops the queues (svm_range_evict). Jobs (amdgpu_cs) do not do there: KFD
// cannot stop them, and restore_process_worker waits for their fences while it holds what the answer to their fault needs.
#pragma once

#include <memory>
#include <vector>

#include "harness/gpu.h"
#include "harness/target.h"

namespace faultline::amdgpu {

// Two targets for each GPU of amdgpu and each of its XNACK modes: "amdgpu:0000:03:00.0/xnack-on", ".../xnack-on/svm".
// Without such a GPU: a single target that is unavailable and says why.
std::vector<std::unique_ptr<Target>> amdgpu_targets(const std::vector<Gpu>& gpus);

}  // namespace faultline::amdgpu
