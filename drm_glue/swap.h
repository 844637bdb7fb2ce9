// Whether this machine has swap.
#pragma once

#include <string_view>

#include "drm_glue/kernel.h"

namespace faultline {

// `swaps`: the text of /proc/swaps, a heading and then a line for each swap area.
bool lists_swap(std::string_view swaps);
// A kernel without CONFIG_SWAP has no /proc/swaps.
bool has_swap(Kernel& kernel);

}  // namespace faultline
