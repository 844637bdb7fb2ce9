// faultline-agent: static, for the lab's initramfs and other machines. It has no OpenCL, so GPUs do copies only.
#include "drm_glue/amdgpu/target.h"
#include "drm_glue/gpus/gpu.h"
#include "harness/app/agent_targets.h"

namespace faultline::agent {

Targets targets_here() {
  Targets targets = kernel_targets();
  add(targets, amdgpu::amdgpu_targets(list_gpus().gpus));
  return targets;
}

}  // namespace faultline::agent
