// Accesses with an order, as OpenCL's atomics: of a device's kernels, and by the CPU.
#pragma once

#include <cstdint>

#include "harness/program.h"

namespace faultline {

// An access with an order. A device does neighbouring ones of a thread in one kernel.
struct OrderedAccess {
  enum class Kind { load, store, exchange, add, compare_exchange };
  std::uintptr_t address = 0;
  Kind kind = Kind::load;
  Order order = Order::relaxed;
  std::uint64_t value = 0;     // that is written or added; afterwards what was read, but for a store
  std::uint64_t expected = 0;  // by compare_exchange
};

// By the calling thread, with the fences of its order and no other.
void do_on_cpu(OrderedAccess& access);

}  // namespace faultline
