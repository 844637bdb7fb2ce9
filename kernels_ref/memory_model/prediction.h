// The prediction for a Program about the memory model (is_about_memory_model): the outcomes of all executions
// that the specification allows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/allowed.h"
#include "kernels_ref/memory_model/executions.h"

namespace faultline::ref {

// `keep_going` as in predict().
Allowed predict_by_memory_model(const Program& program, const Rules& dropped = {},
                                const std::function<bool(std::uint64_t)>& keep_going = {});

// An execution with a wanted outcome, read by read: "P.gpu: r0 = load a[1] acquire", and the write it reads from.
struct Read {
  std::string read;
  std::string from;
};
std::optional<std::vector<Read>> find_execution(const Program& program, const Rules& dropped,
                                                const std::function<bool(const Outcome&)>& wanted);

}  // namespace faultline::ref
