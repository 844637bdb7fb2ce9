// What the reference predicts for one Program: every outcome that a healthy kernel can show.
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
  std::vector<Outcome> outcomes;  // sorted, without duplicates
  bool complete = false;          // false: the budget ran out, so an outcome that is missing here is not forbidden
  std::uint64_t states = 0;       // distinct states
  std::uint64_t executions = 0;   // distinct terminal states reached
  double seconds = 0;
  std::vector<std::string> known_bugs;  // names of bugs in test_hmm itself (known_bugs.h) that some execution triggers
  std::string undefined;         // not empty: no prediction, because the programming interface leaves the Program undefined; why
  std::string unknown;           // not empty: no prediction, because that device's model lacks something; why
  std::vector<AtOnce> at_once;   // for USM regions; at most one entry for each kind of pair
  std::vector<Waiting> waiting;  // threads that wait for ever in some execution, because the Program is written that way
  std::vector<std::string> findings;  // invariants broken on some path: a bug in the reference or in a variant
};

}  // namespace faultline
