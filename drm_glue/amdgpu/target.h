// amdgpu's GPUs as targets that need nothing but the kernel and libdrm: loads and stores are copies of the SDMA engine
// to and from pages of the process (userptr), migrations and events are those of KFD's SVM.
//
// A job looks its pages up anew and the notifier waits for it, so a mapping that changes beside it is seen before or
// after: what recoverable faults allow, too. Work of shaders is OpenCL's (opencl_tests/).
#pragma once

#include <memory>
#include <vector>

#include "harness/gpu.h"
#include "harness/target.h"

namespace faultline::amdgpu {

// One for each GPU of amdgpu and each of its XNACK modes ("amdgpu:0000:03:00.0/xnack-on"); one that says why, where
// there is none.
std::vector<std::unique_ptr<Target>> amdgpu_targets(const std::vector<Gpu>& gpus);

}  // namespace faultline::amdgpu
