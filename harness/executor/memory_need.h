// How much memory a Program may take, so that one that would take all of it is refused before it runs.
#pragma once

#include <cstdint>
#include <string>

#include "harness/program.h"

namespace faultline {

// Bytes that one iteration may populate at most: the pages that have a value or that some statement populates, one copy for
// each process, because each process may break COW.
std::uint64_t memory_need(const Program& program);

// MemAvailable in the text of /proc/meminfo, in bytes. Without that line: everything.
std::uint64_t available_memory(const std::string& meminfo);

// Why the Program would harm this machine: it may take more than half of the memory that is available. Empty if it is safe.
std::string too_much_memory(const Program& program);

// Asks the kernel to end this process, and those that it will fork, before any other if memory runs out.
void be_first_for_oom_killer();

}  // namespace faultline
