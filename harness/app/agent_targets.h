// The targets of an agent: those of kernel interfaces, and OpenCL devices if the agent is linked with OpenCL.
#pragma once

#include <memory>
#include <vector>

#include "harness/target.h"

namespace faultline::agent {

using Targets = std::vector<std::unique_ptr<Target>>;

void add(Targets& targets, Targets more);

Targets kernel_targets();

// kernel_targets(), and what else the agent program has. Each agent program defines its own.
Targets targets_here();

}  // namespace faultline::agent
