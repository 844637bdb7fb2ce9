// What a scenario tests, as a set of numbers: which operations it has, which pairs of them race, and which results the reference
// allows for them. Two scenarios with the same features test much the same; a feature that no earlier one had is worth a try.
#pragma once

#include <cstdint>
#include <set>

#include "harness/allowed.h"
#include "harness/program.h"

namespace faultline {

using Features = std::set<std::uint64_t>;

// Operations, by what does them and on which kind of memory; and pairs of operations of different threads on the same region.
Features features(const Program& program);

// What operations give in some allowed outcome: transitions of the model that the scenario reaches.
Features features(const Program& program, const Allowed& allowed);

// How many of `features` are not in `known`.
std::size_t fresh(const Features& features, const Features& known);

}  // namespace faultline
