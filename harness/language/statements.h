// The second pass over the tree: the statements of the threads.
#pragma once

#include "harness/language/syntax.h"
#include "harness/program.h"

namespace faultline {

// Appends the statement to the thread. A fork also sets the parent of its child.
void read_statement(Program& program, const Source& source, const Node& line, int thread);

// The descriptor for a migrate without 'via': that of the thread's device, otherwise the process's own one of `device`.
Via implied_via(const Thread& thread, int device);

}  // namespace faultline
