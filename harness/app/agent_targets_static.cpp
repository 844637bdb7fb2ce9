// faultline-agent: static, for the lab's initramfs and other machines.
#include "harness/app/agent_targets.h"

namespace faultline::agent {

std::vector<std::unique_ptr<Target>> targets_here() { return kernel_targets(); }

}  // namespace faultline::agent
