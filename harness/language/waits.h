// Threads that wait for ever by the Program's own doing: at a barrier where the others never come, or for a
// process that nothing ends. No kernel is to blame for these: they are bad input.
#pragma once

#include <vector>

#include "harness/language/diagnostic.h"
#include "harness/program.h"

namespace faultline {

// Those that no execution lets go on, as far as the text tells without exploring it: what a process that may die on
// the way does or leaves undone is taken for the best. By thread.
std::vector<Waiting> wait_for_ever(const Program& program);

// Points at the first of them. `certain`: in every execution.
Diagnostic endless_wait(const Program& program, const Source& source, const std::vector<Waiting>& waiting, bool certain);

}  // namespace faultline
