// The reference's one door: every outcome that a healthy kernel can show for a Program.
#pragma once

#include <cstdint>
#include <functional>

#include "harness/allowed.h"
#include "harness/program.h"
#include "kernels_ref/rules.h"

namespace faultline {

struct Facets {
  DeviceClass device_class = DeviceClass::recoverable;
  ref::Rules dropped;  // rules of the reference to leave out: the model of a broken kernel
};

struct Budget {
  std::uint64_t states = 20'000'000;
  int workers = 0;  // 0: one for each core
};

// Explores `program` exhaustively, or until the budget ends or `keep_going(states)` is false (asked every
// few thousand steps): then Allowed::complete is false. Outcomes follow schema(program).
Allowed predict(const Program& program, const Facets& facets = {}, const Budget& budget = {},
                const std::function<bool(std::uint64_t)>& keep_going = {});

}  // namespace faultline
