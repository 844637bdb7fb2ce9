// faultline-agent-opencl: linked to libdrm and to the ICD loader, which loads drivers.
#include "drm_glue/amdgpu/target.h"
#include "harness/app/agent_targets.h"
#include "opencl_tests/target.h"

namespace faultline::agent {

std::vector<std::unique_ptr<Target>> targets_here() {
  std::vector<std::unique_ptr<Target>> targets = kernel_targets();
  for (std::unique_ptr<Target>& gpu : amdgpu::amdgpu_targets()) targets.push_back(std::move(gpu));
  for (std::unique_ptr<Target>& device : opencl::opencl_targets()) targets.push_back(std::move(device));
  return targets;
}

}  // namespace faultline::agent
