// faultline-agent-opencl: linked to the ICD loader, which loads drivers.
#include "harness/app/agent_targets.h"
#include "opencl_tests/target.h"

namespace faultline::agent {

std::vector<std::unique_ptr<Target>> targets_here() {
  std::vector<std::unique_ptr<Target>> targets = kernel_targets();
  for (std::unique_ptr<Target>& device : opencl::opencl_targets()) targets.push_back(std::move(device));
  return targets;
}

}  // namespace faultline::agent
