// Whether this machine swaps.
#pragma once

#include <string_view>

#include "drm_glue/kernel.h"

namespace faultline {

// Of the text of /proc/swaps: a heading, then a line for each swap area.
bool lists_swap(std::string_view swaps);
// No such file: a kernel without CONFIG_SWAP.
bool has_swap(Kernel& kernel);

}  // namespace faultline
