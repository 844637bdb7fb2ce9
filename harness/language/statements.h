// The second pass over the tree: the statements of the threads.
#pragma once

#include "harness/language/syntax.h"
#include "harness/program.h"

namespace faultline {

// Appends the statement to the thread; a fork sets the parent of the process that it starts.
void read_statement(Program& program, const Source& source, const Node& line, int thread);

// What a migrate without 'via' goes through: the thread's device, else `device` as its process opened it.
Via implied_via(const Thread& thread, int device);

}  // namespace faultline
