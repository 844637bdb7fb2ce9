// nouveau's GPUs as targets: pages are migrated by the driver's own requests. Loads and stores are OpenCL's, where a
// driver of it has the GPU (opencl_tests/gpu_target.h).
#pragma once

#include <memory>
#include <vector>

#include "harness/gpu.h"
#include "harness/target.h"

namespace faultline::nouveau {

// One for each GPU of nouveau ("nouveau:0000:01:00.0"); one that says why, where there is none.
std::vector<std::unique_ptr<Target>> nouveau_targets(const std::vector<Gpu>& gpus);

}  // namespace faultline::nouveau
