// The last pass over the tree: the observes and the claims of a scenario.
#pragma once

#include "harness/language/declarations.h"
#include "harness/program.h"

namespace faultline {

// Call it after all statements have been read, because the fork tree decides which regions a process has.
void read_conditions(Program& program, const Source& source, const Declarations& declarations);

}  // namespace faultline
