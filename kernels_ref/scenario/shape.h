// From a Program to what the explorer starts with.
#pragma once

#include "kernels_ref/mm/cpu.h"
#include "kernels_ref/scenario/facets.h"

namespace faultline::ref {

Shape make_shape(const Program& program, const Facets& facets);

// Where the threads start: roots with their regions mapped and populated by CPU stores, devices open.
void start(const Shape& shape, World& world);

}  // namespace faultline::ref
