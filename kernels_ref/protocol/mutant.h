// Historic bugs as variants: each is a known defect of kernels past, and must be found.
#pragma once

#include <vector>

#include "kernels_ref/protocol/protocol.h"

namespace faultline::ref::protocol {

struct Mutant {
  int bug;               // number in the catalogue of historic bugs (mutants.md)
  const char* what;      // what was wrong, in a line, with its commit where there is one
  Protocol (*protocol)();
  Variant variant;
  Finding expected;      // what shows it
};

std::vector<Mutant> notifier_mutants();
std::vector<Mutant> nouveau_mutants();
std::vector<Mutant> fence_mutants();

}  // namespace faultline::ref::protocol
