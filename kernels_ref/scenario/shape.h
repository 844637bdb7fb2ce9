// Turns a Program into the Shape and the state with which the explorer starts.
#pragma once

#include "kernels_ref/mm/cpu.h"
#include "kernels_ref/scenario/facets.h"

namespace faultline::ref {

Shape make_shape(const Program& program, const Facets& facets);

// The state in which the threads start: root processes exist, with their regions mapped and populated by CPU stores, and
// with their devices open.
void start(const Shape& shape, World& world);

}  // namespace faultline::ref
