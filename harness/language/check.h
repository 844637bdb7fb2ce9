// Checks the Program as a whole: the fork tree, and what each process may name.
#pragma once

#include "harness/language/diagnostic.h"
#include "harness/program.h"

namespace faultline {

void check(const Program& program, const Source& source);

// Whether pages and ranges are few enough. Observes tell pages apart too, so call this when they have been read.
void check_spans(const Program& program, const Source& source);

// The root of the process's fork tree, or -1 if the tree is a cycle.
int root_of(const Program& program, int process);

}  // namespace faultline
