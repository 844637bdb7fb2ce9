// The memory model of SVM: which executions of a Program the OpenCL 3.0 specification allows (section 3.3.6, and
// 5.6 for the buffers), or why it says nothing about the Program. Unified shared memory counts as a fine-grained
// buffer, and memory with a device address as a coarse-grained one: their extensions leave that open.
//
// The model is axiomatic. An execution says from which write each read reads, and in which order the writes of a
// cell come. It is consistent if all of these hold:
// - happens-before has no cycle, and agrees with both (coherence);
// - the sequentially consistent accesses have one order (RC11's psc, which allows all that the specification allows);
// - no write comes between the read and the write of an update.
// Nothing forbids values out of thin air that only relaxed accesses make.
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

// What the write leaves. Nothing if a compare_exchange found another value, or if the value would come from itself.
std::optional<Written> written(const Events& events, int write, const std::vector<int>& reads_from);

// `each` gets every consistent execution: for each event the write that it reads from (-1: reads nothing). Ends at
// the first execution that makes the Program undefined, or when `keep_going` is false.
Executions explore(const Events& events, const Rules& dropped,
                   const std::function<void(const std::vector<int>& reads_from)>& each,
                   const std::function<bool(std::uint64_t)>& keep_going);

}  // namespace faultline::ref
