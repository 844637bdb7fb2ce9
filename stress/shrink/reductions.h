// Steps that make a Program smaller. Each gives all Programs that one such step makes, most promising first. They need not be
// valid.
#pragma once

#include <span>
#include <vector>

#include "harness/program.h"

namespace faultline {

using Reduction = std::vector<Program> (*)(const Program&);

// In the order in which they pay.
std::span<const Reduction> reductions();

// Without what no statement and no observe uses any more: devices, files, barriers of one thread, threads without statements.
// Regions stay: neighbours in the address space may matter.
Program tidied(const Program& program);

}  // namespace faultline
