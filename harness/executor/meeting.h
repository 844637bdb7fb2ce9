// How threads learn that others are done, dead, or never come.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// Says how sure it is that `process` will be dead. The runner then looks whether it is.
void suspect(Area& area, int process, Suspect certainty);

// The thread has no more statements.
void finish_thread(ProcessContext& context, int thread);

// Arrives at a barrier and returns when every thread that names it has arrived there as often as this one (or
// as often as it ever will). At once when the area was aborted.
void meet(ProcessContext& context, int barrier, int thread);

// Whether the thread will arrive nowhere any more: it is done, its process has died, or cannot come to life.
bool gone(const Program& program, const Layout& layout, const Area& area, int thread);

// Whether a process that is not there will never be.
bool never_born(const Program& program, const Layout& layout, const Area& area, int process);

}  // namespace faultline
