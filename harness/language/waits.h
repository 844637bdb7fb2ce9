// Finds threads that wait for ever because of the Program itself: at a barrier where the other threads never arrive, for a
// process that nothing ends, or at a userfault that nobody resolves (only the prediction can tell that). That is bad input, not a bug of a kernel.
#pragma once

#include <vector>

#include "harness/language/diagnostic.h"
#include "harness/program.h"

namespace faultline {

// The threads that can go on in no execution, sorted by thread. It does not explore the Program. Whatever a process may or
// may not do because it dies early is assumed to let the others go on.
std::vector<Waiting> wait_for_ever(const Program& program);

// The error message; it points at the first of `waiting`. `certain`: the thread waits in every execution.
Diagnostic endless_wait(const Program& program, const Source& source, const std::vector<Waiting>& waiting, bool certain);

}  // namespace faultline
