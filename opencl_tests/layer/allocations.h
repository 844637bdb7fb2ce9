// The live allocations of clSVMAlloc.
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

// From now on the table's alloc and free functions record allocations.
void track_allocations(cl_icd_dispatch& table);

// The allocation that contains the address.
std::optional<Allocation> allocation_of(const void* address);

}  // namespace faultline::layer
