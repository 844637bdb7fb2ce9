// The reference's answer for one Program: every outcome that a healthy kernel can show.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/outcome.h"

namespace faultline {

// Two accesses to one region, by the host and by a device, that may happen at once in some execution.
struct AtOnce {
  int region = -1;
  bool ordered = false;  // both are atomic accesses
  std::string accesses;  // "'P.cpu: store a[0] 1' and 'P.gpu: r0 = load a[1]'"
};

struct Allowed {
  std::vector<Observable> schema;
  std::vector<Outcome> outcomes;  // sorted, each once
  bool complete = false;          // false: the budget ended first; an unseen outcome is then not forbidden
  std::uint64_t states = 0;       // distinct states
  std::uint64_t executions = 0;   // distinct terminal states reached
  double seconds = 0;
  std::vector<std::string> known_bugs;  // names of test_hmm's own bugs (known_bugs.h) that some execution runs into
  std::string undefined;         // why nothing is said about the Program: it does what its programming interface leaves undefined
  std::string unknown;           // why nothing is predicted: something in it is not modelled for that device
  std::vector<AtOnce> at_once;   // of USM regions, at most one of each kind of pair
  std::vector<Waiting> waiting;  // threads that some execution leaves waiting for ever, by the Program's own doing
  std::vector<std::string> findings;  // invariants broken on some path: a bug of the reference, or a variant's
};

}  // namespace faultline
