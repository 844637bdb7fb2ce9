// Atomic accesses with a memory order, by the kernels of an OpenCL device and by the CPU.
#pragma once

#include <cstdint>

#include "harness/program.h"

namespace faultline {

// A device does adjacent ones of a thread in one kernel.
struct OrderedAccess {
  enum class Kind { load, store, exchange, add, compare_exchange };
  std::uintptr_t address = 0;
  Kind kind = Kind::load;
  Order order = Order::relaxed;
  std::uint64_t value = 0;     // in: the value to write or to add; out: the value that was read (unchanged by a store)
  std::uint64_t expected = 0;  // for compare_exchange
};

// Does the access in the calling thread, with the fences that its order needs and no others.
void do_on_cpu(OrderedAccess& access);

}  // namespace faultline
