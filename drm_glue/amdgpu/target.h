// amdgpu's GPUs as targets that need nothing but the kernel and libdrm: loads and stores are copies of the SDMA engine
// to and from pages of the process (userptr), migrations and events are those of KFD's SVM.
//
// A job looks its pages up anew and the notifier waits for it, so a mapping that changes beside it is seen before or
// after: what recoverable faults allow, too. Work of shaders is OpenCL's (opencl_tests/).
//
// ".../xnack-on/svm": the copies reach the process's own addresses through the ranges' page-table entries, and fault where
// there are none: KFD's ACQUIRE_VM makes the VM of the node that jobs go through the process's, and a fault with its pasid
// comes to svm_range_restore_pages(). With XNACK off there is no such target: an invalidation stops the queues of KFD
// and leaves the entries as they are (svm_range_evict), which a job that is none of its queues would follow.
#pragma once

#include <memory>
#include <vector>

#include "harness/gpu.h"
#include "harness/target.h"

namespace faultline::amdgpu {

// One for each GPU of amdgpu and each of its XNACK modes ("amdgpu:0000:03:00.0/xnack-on"), and one on ranges; one that
// says why, where there is none.
std::vector<std::unique_ptr<Target>> amdgpu_targets(const std::vector<Gpu>& gpus);

}  // namespace faultline::amdgpu
