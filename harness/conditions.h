// The last pass of the parser: what a scenario observes and claims.
#pragma once

#include "harness/lexer.h"
#include "harness/program.h"

namespace faultline {

// Needs every statement: the fork tree says which regions a process has.
void read_observes(Program& program, const Source& source, const Line& line);

// Needs every observe: a claim is about observables.
Claim read_claim(const Program& program, const Source& source, const Line& line);

}  // namespace faultline
