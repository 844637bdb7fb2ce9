// nouveau's GPUs as targets: the driver's own requests migrate pages. Loads and stores need OpenCL, if an OpenCL driver
// supports the GPU (opencl_tests/gpu_target.h).
#pragma once

#include <memory>
#include <vector>

#include "harness/gpu.h"
#include "harness/target.h"

namespace faultline::nouveau {

// One target for each GPU of nouveau ("nouveau:0000:01:00.0"). Without such a GPU: a single target that is unavailable
// and says why.
std::vector<std::unique_ptr<Target>> nouveau_targets(const std::vector<Gpu>& gpus);

}  // namespace faultline::nouveau
