// The targets of an agent: those of kernel interfaces, and OpenCL devices if the agent is linked with OpenCL.
#pragma once

#include <memory>
#include <vector>

#include "harness/target.h"

namespace faultline::agent {

std::vector<std::unique_ptr<Target>> kernel_targets();

// kernel_targets(), and what else the agent program has. Each agent program defines its own.
std::vector<std::unique_ptr<Target>> targets_here();

}  // namespace faultline::agent
