// When are two Programs the same? If they differ in names only, in the values that they store, or in the order of things whose
// order means nothing: threads, regions, processes, devices, files, barriers.
#pragma once

#include <string>

#include "harness/program.h"

namespace faultline {

// The same text for two Programs exactly if they are the same. Documentation and claims do not count. Programs with more than
// five threads are tried in the order of their threads only, so that some that are the same have different texts.
std::string canonical(const Program& program);

}  // namespace faultline
