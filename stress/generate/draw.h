// Random programs: two or three threads race on a few pages, at least one pair of their actions conflicts.
#pragma once

#include <optional>
#include <random>
#include <string>

#include "harness/capabilities.h"
#include "harness/program.h"

namespace faultline {

// A valid scenario that a target with these capabilities can run. What the reference says about it is not known yet: it may
// be undefined, unknown, or too large. The same state of `random` gives the same Program. Nothing if the target cannot race: no
// attempt of many was valid.
std::optional<Program> draw(std::mt19937_64& random, const Capabilities& can, const std::string& name);

}  // namespace faultline
