// The agent's Watch on its machine.
#pragma once

#include <memory>

#include "harness/agent/watch.h"

namespace faultline::agent {

std::unique_ptr<Watch> watch_here();

}  // namespace faultline::agent
