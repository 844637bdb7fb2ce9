// An end state of the model as outcomes: one text for each observable (harness/outcome.h).
#pragma once

#include <vector>

#include "harness/outcome.h"
#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// The schema of the program. For observes of events it names the weather: what compaction, NUMA balancing and the like may add.
std::vector<Observable> schema_with_weather(const Program& program, DeviceClass device_class);

// The outcomes that a look at the end state may give: mostly one.
std::vector<Outcome> outcomes_of(const Shape& shape, const World& world, const std::vector<Observable>& schema);

}  // namespace faultline::ref
