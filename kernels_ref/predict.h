// The only entry to the reference: every outcome that a healthy kernel can show for a Program, and how an
// outcome comes about.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/allowed.h"
#include "harness/program.h"
#include "kernels_ref/engine/schedule.h"
#include "kernels_ref/scenario/facets.h"

namespace faultline {

struct Budget {
  std::uint64_t states = 20'000'000;
  int workers = 0;  // 0: one for each core
};

// Why nothing is predicted for the program on a device of that class; empty: it is predicted.
std::string unpredicted(const Program& program, DeviceClass device_class);

// Explores `program` exhaustively, or until the budget ends or `keep_going(states)` is false (asked every
// few thousand steps): then Allowed::complete is false. Outcomes follow schema(program).
Allowed predict(const Program& program, const Facets& facets = {}, const Budget& budget = {},
                const std::function<bool(std::uint64_t)>& keep_going = {});

// How an outcome comes about: a shortest execution that ends in an outcome for which `wanted` holds.
struct Explanation {
  ref::Schedule schedule;
  std::vector<int> statement;  // of each step's thread: the statement it is in, or -1 (starting, ending)
  Outcome outcome;
};
struct Explained {
  std::optional<Explanation> found;
  bool complete = true;  // false: the budget ended first, so that nothing found means nothing
};
Explained explain(const Program& program, const Facets& facets, const std::function<bool(const Outcome&)>& wanted,
                  std::uint64_t max_states);

}  // namespace faultline
