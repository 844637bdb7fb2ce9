// A Program as scenario text.
#pragma once

#include <string>

#include "harness/program.h"

namespace faultline {

// Text that parse() turns into an equal Program. That holds for Programs as parse() makes them: regions
// in the order of their owners; each child has a main thread, a root one only with statements; main
// threads in the order of their processes; barriers in the order of their first use; 'all' and 'any' with
// two parts or more.
std::string print(const Program& program);

std::string print(const Program& program, const Thread& thread, const Statement& statement);
std::string print(const Program& program, const Observe& observe);  // what stands behind the word
std::string print(const Claim& claim);
std::string print(const Condition& condition);

}  // namespace faultline
