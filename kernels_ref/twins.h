// A departure is a named difference from what today's kernel does. The model of scenarios (mm/, drivers/) departs when it
// drops a rule (mm/rules.h). A protocol departs when a variant is in force (protocol/machine/variant.h). Twins are a rule
// and a variant that make the same change to the same kernel function. twins_test.cpp shows that the rule flips its
// scenario, and that the variant flips its protocol.
//
// Two pairs that one would expect are not here. callback-takes-lock and callback-without-lock: in the model of scenarios
// the lock guards a single step, so no scenario shows that the lock is missing. cow-counts-references and
// reuse-by-mapcount: this needs a fork tree, in which reuse-by-mapcount changes only what other variants have already made
// wrong.
#pragma once

#include <string_view>
#include <vector>

#include "kernels_ref/mm/rules.h"
#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref {

struct Twins {
  Rule rule;
  std::string_view scenario;  // below stress/scenarios/: without the rule one of its claims fails, or there is a finding
  protocol::Variant variant;
  protocol::Protocol (*protocol)();
  protocol::Finding finding;        // the protocol has it with the variant, and not without
  protocol::Variants besides = {};  // in force with and without the variant
};

// By rule.
const std::vector<Twins>& twins();

}  // namespace faultline::ref
