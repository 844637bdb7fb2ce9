// Conditions on an outcome as C expressions.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "harness/outcome.h"
#include "stress/repro/names.h"

namespace faultline::repro {

std::string expression(const Condition& condition, std::span<const Observable> schema, const Program& program,
                       const Names& names);

// visit(comparison), for each comparison in the condition.
void each_comparison(const Condition& condition, const std::function<void(const Condition&)>& visit);

// The observable that the comparison is about. Null if the schema has none.
const Observable* observable_of(const Condition& comparison, std::span<const Observable> schema);

}  // namespace faultline::repro
