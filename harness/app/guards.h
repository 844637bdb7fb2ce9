// Which rules of the kernel forbid something.
#pragma once

#include <string>

#include "harness/app/app.h"
#include "kernels_ref/scenario/facets.h"

namespace faultline::app {

// `search(facets)` looks for a way to do it, and gives an optional. Calls `guards(rule, way)` for each rule without which there
// is one. Ctrl-C ends it early.
template <typename Search, typename Guards>
void each_guard(const Facets& facets, Search search, Guards guards) {
  for (int r = 0; r < ref::rule_count && stop_asked() == Stop::none; ++r) {
    if (facets.dropped[r]) continue;
    Facets fewer = facets;
    fewer.dropped.set(r);
    if (const auto way = search(fewer)) guards(std::string(ref::name_of(static_cast<ref::Rule>(r))), *way);
  }
}

}  // namespace faultline::app
