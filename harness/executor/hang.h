// What is known of an iteration that did not end in time.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/executor.h"
#include "harness/executor/layout.h"

namespace faultline {

// The first statement of a thread without a result, as a person finds it in the text: "r0 (line 8)".
std::string statement_of(const Program& program, const Layout& layout, const Area& area, int thread);

// Every thread of the Program that was started in this iteration, as /proc tells it.
std::vector<ThreadPlace> sample_threads(const Program& program, const Layout& layout, const Area& area);

// Whether any thread got further between two samples of the same iteration.
bool moved_on(const std::vector<ThreadPlace>& before, const std::vector<ThreadPlace>& after);

// Whether a fresh process can still map a page, store to it, fork, and load it in the child, within
// `longest_ms`. False: the machine is too slow, or broken, for any verdict on the scenario.
bool control_iteration(int longest_ms);

}  // namespace faultline
