// Prints the GPUs of a machine: a block for each, or why there is none. The place is empty for this machine.
#pragma once

#include <string>

#include "harness/gpu.h"

namespace faultline::app {

std::string gpus_text(const std::string& place, const GpuList& list);

}  // namespace faultline::app
