// A departure is a named difference from what today's kernel does. The model of scenarios (mm/, drivers/) departs by a rule
// that it drops (mm/rules.h), a protocol by a variant that it takes on (protocol/machine/variant.h). Twins are departures
// that both bodies of models know: of one kernel function, they say the same. The test beside this shows that each flips
// its scenario, and its protocol.
//
// Two that one would look for are not here. What callback-takes-lock guards is one step of the model of scenarios, so no
// scenario tells it from callback-without-lock. And cow-counts-references needs a fork tree, in which reuse-by-mapcount
// changes only what other variants have already made wrong.
#pragma once

#include <string_view>
#include <vector>

#include "kernels_ref/mm/rules.h"
#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref {

struct Twins {
  Rule rule;
  std::string_view scenario;  // below stress/scenarios/: dropping the rule refutes a claim of it, or is a finding
  protocol::Variant variant;
  protocol::Protocol (*protocol)();
  protocol::Finding finding;        // of the protocol with the variant, and not without
  protocol::Variants besides = {};  // in force in both
};

// By rule.
const std::vector<Twins>& twins();

}  // namespace faultline::ref
