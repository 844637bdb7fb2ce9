// The heart of HMM mirroring: invalidators and faulting threads around one driver's page table.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// `invalidators` threads that each replace the page `rounds` times (start, callback, new page, end), and
// `faulters` that each fault it into the device `rounds` times (read_begin, hmm_range_fault, driver lock,
// read_retry, entry). Up to 8 threads, rounds up to 2. Its outcome: what the CPU and the device map.
Protocol interval_notifier(int invalidators, int faulters, int rounds);

}  // namespace faultline::ref::protocol
