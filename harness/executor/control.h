// The control iteration: a trivial iteration, run while another one does not end. It shows whether this machine is fast
// enough for a verdict.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "harness/executor/evidence.h"
#include "harness/target.h"

namespace faultline {

// How long a control iteration takes when all is well.
struct Usual {
  std::int64_t plain_ns = 0;   // to map a page, store to it, fork, and load the page in the child
  std::int64_t device_ns = 0;  // to set up a fresh process with its devices; 0: not measured
};

// How fast this machine is. To measure it takes longer than a dozen iterations, so it holds for some seconds: in the process that
// asked, and in those that it forks. An agent asks before it forks a runner. The caller must be single-threaded.
struct Pace {
  std::int64_t longest_offset_ns = 0;  // measure_longest_offset_ns()
  std::int64_t plain_ns = 0;           // Usual::plain_ns; 10 s if it did not end in that time
};
const Pace& pace_here();

// A fresh process does the plain part, then opens the devices as the processes of the scenario do. `breathe` is called
// regularly.
Control control_iteration(Target& target, const std::vector<int>& devices, const Usual& usual,
                          const std::function<void()>& breathe);

}  // namespace faultline
