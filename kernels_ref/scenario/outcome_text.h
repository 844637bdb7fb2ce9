// An end state of the model as outcomes: one text for each observable (harness/outcome.h).
#pragma once

#include <vector>

#include "harness/outcome.h"
#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// The schema of the program, with what compaction, NUMA balancing and their like add where a device has pages.
std::vector<Observable> schema_with_weather(const Program& program, DeviceClass device_class);

// What a look at the end state may give, mostly one outcome.
std::vector<Outcome> outcomes_of(const Shape& shape, const World& world, const std::vector<Observable>& schema);

}  // namespace faultline::ref
