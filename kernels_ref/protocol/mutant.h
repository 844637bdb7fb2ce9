// Historic bugs as variants of protocols: what a check of the same kind must find.
#pragma once

#include <vector>

#include "kernels_ref/protocol/protocol.h"

namespace faultline::ref::protocol {

struct Mutant {
  int bug;           // its number in the catalogue of historic bugs
  const char* name;  // of its variant
  Protocol (*protocol)();
  Variant variant;
  Finding expected;
};

std::vector<Mutant> notifier_mutants();
std::vector<Mutant> nouveau_mutants();
std::vector<Mutant> fence_mutants();

}  // namespace faultline::ref::protocol
