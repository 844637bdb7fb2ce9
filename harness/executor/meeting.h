// How threads learn that other threads are done, are dead, or will never start.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// Records how certain the end of `process` is. The runner then checks whether it is dead.
void suspect(Area& area, int process, Suspect certainty);

// The thread has no more statements.
void finish_thread(ProcessContext& context, int thread);

// Arrives at a barrier. Returns when every thread that names the barrier has arrived as often as this one, or as often as it
// ever will. Returns at once if the area was aborted.
void meet(ProcessContext& context, int barrier, int thread);

// Whether the thread will arrive at no more barriers: it is done, its process died, or its process will never exist.
bool gone(const Program& program, const Layout& layout, const Area& area, int thread);

// Whether a process that does not exist will never exist.
bool never_born(const Program& program, const Layout& layout, const Area& area, int process);

}  // namespace faultline
