// A Program as scenario text.
#pragma once

#include <string>

#include "harness/program.h"

namespace faultline {

// Text that parse() turns into an equal Program. This works for Programs in the form that parse() makes:
//   - regions are in the order of their owners;
//   - each child has a main thread; a root has one only if that thread has statements;
//   - main threads are in the order of their processes;
//   - barriers are in the order of their first use;
//   - 'all' and 'any' have two parts or more.
std::string print(const Program& program);

std::string print(const Program& program, const Thread& thread, const Statement& statement);
std::string print(const Program& program, const Observe& observe);  // without the word 'observe'
std::string print(const Claim& claim);
std::string print(const Condition& condition);

}  // namespace faultline
