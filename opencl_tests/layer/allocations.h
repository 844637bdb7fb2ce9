// The allocations of clSVMAlloc that are alive.
#pragma once

#include <cstddef>
#include <optional>

#include "opencl_tests/layer/layer.h"

namespace faultline::layer {

struct Allocation {
  std::byte* start;
  std::size_t size;
  cl_svm_mem_flags flags;
};

// Lets the table's functions that allocate and free note it.
void track_allocations(cl_icd_dispatch& table);

// The one that an address lies in.
std::optional<Allocation> allocation_of(const void* address);

}  // namespace faultline::layer
