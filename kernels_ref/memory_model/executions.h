// The memory model of SVM: which executions of a Program the OpenCL 3.0 specification allows (section 3.3.6, and
// 5.6 for the buffers), or why it says nothing about the Program. Unified shared memory is taken as a fine-grained
// buffer, what has a device address as a coarse-grained one: their extensions leave that open.
//
// Axiomatic: an execution says which write each read reads from and in which order the writes of a cell lie.
// It is consistent when happens-before is no circle and agrees with both (coherence), and when the accesses
// that are sequentially consistent have an order of their own (RC11's psc, which allows whatever the
// specification does), and when nothing lies between what an update reads and what it writes. Nothing forbids values out of thin air that only relaxed accesses make.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels_ref/memory_model/events.h"
#include "kernels_ref/mm/rules.h"

namespace faultline::ref {

struct Executions {
  bool complete = true;
  std::uint64_t candidates = 0;
  std::uint64_t consistent = 0;
  std::string undefined;  // why the specification says nothing about the Program; empty: it does
};

// The value that a write leaves, and the cell that it was stored through.
struct Written {
  int home = 0;
  int value = 0;
  friend bool operator==(const Written&, const Written&) = default;
};

// Nothing for a compare_exchange that found another value, and where a value would come from itself.
std::optional<Written> written(const Events& events, int write, const std::vector<int>& reads_from);

// `each` sees every consistent execution as the write that each event reads from (-1: reads nothing). Ends at
// the first one that makes the Program undefined, or when `keep_going` is false.
Executions explore(const Events& events, const Rules& dropped,
                   const std::function<void(const std::vector<int>& reads_from)>& each,
                   const std::function<bool(std::uint64_t)>& keep_going);

}  // namespace faultline::ref
