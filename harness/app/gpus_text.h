// The GPUs of a machine, for a person: a block for each, or why there is none.
#pragma once

#include <string>

#include "drm_glue/gpus/gpu.h"

namespace faultline::app {

std::string gpus_text(const GpuList& list);

}  // namespace faultline::app
