// The targets that an agent has: those that the kernel gives, and where OpenCL is linked in, its devices.
#pragma once

#include <memory>
#include <vector>

#include "harness/target.h"

namespace faultline::agent {

std::vector<std::unique_ptr<Target>> kernel_targets();

// kernel_targets() and more; each agent program has its own.
std::vector<std::unique_ptr<Target>> targets_here();

}  // namespace faultline::agent
