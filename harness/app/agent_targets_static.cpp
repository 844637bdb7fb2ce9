// faultline-agent: static, for the lab's initramfs and other machines. It has no OpenCL, so GPUs do copies only.
#include <iterator>

#include "drm_glue/amdgpu/target.h"
#include "drm_glue/gpus/gpu.h"
#include "harness/app/agent_targets.h"

namespace faultline::agent {

std::vector<std::unique_ptr<Target>> targets_here() {
  std::vector<std::unique_ptr<Target>> targets = kernel_targets();
  auto gpus = amdgpu::amdgpu_targets(list_gpus().gpus);
  targets.insert(targets.end(), std::make_move_iterator(gpus.begin()), std::make_move_iterator(gpus.end()));
  return targets;
}

}  // namespace faultline::agent
