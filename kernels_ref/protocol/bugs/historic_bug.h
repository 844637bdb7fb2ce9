// Historic bugs as variants of protocols, and whether the checks find them.
#pragma once

#include <string>
#include <vector>

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

struct HistoricBug {
  int number;        // pairs of bugs, and bugs in several drivers, share a number
  const char* what;  // the bug, with its commit or CVE if there is one
  Protocol (*protocol)();
  Variant variant;
  Finding expected;
};

// By number.
std::vector<HistoricBug> historic_bugs();

// A historic bug that no protocol can show.
struct Unexpressed {
  int number;
  const char* what;
  const char* reason;
};
std::vector<Unexpressed> unexpressed_bugs();

struct BugScore {
  bool healthy_clean = false;  // the protocol has no finding without the bug
  bool caught = false;
  std::string by;  // the finding
  // How many executions had ended when one showed a finding, that one included. 0: a livelock, which has no
  // end and is found as a cycle of states.
  std::uint64_t executions = 0;
  std::uint64_t states = 0;
  bool complete = false;  // false: the budget ended first, so that "not caught" and "clean" are no answers
};
BugScore score(const HistoricBug& bug, const Limits& limits = {});

}  // namespace faultline::ref::protocol
