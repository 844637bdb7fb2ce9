// The last pass over the tree: what a scenario observes and claims.
#pragma once

#include "harness/language/declarations.h"
#include "harness/program.h"

namespace faultline {

// Needs every statement: the fork tree says which regions a process has.
void read_conditions(Program& program, const Source& source, const Declarations& declarations);

}  // namespace faultline
