// An iteration that does nothing special, beside one that does not end: whether this machine is fit for a verdict.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "harness/executor/evidence.h"
#include "harness/target.h"

namespace faultline {

// What a healthy one takes.
struct Usual {
  std::int64_t plain_ns = 0;   // to map a page, store to it, fork, and load it in the child
  std::int64_t device_ns = 0;  // to set a fresh process up, with its devices; 0: none was
};

// Takes the time of the plain part; `longest_ns` where it did not end.
std::int64_t time_of_plain_control(std::int64_t longest_ns);

// In a fresh process that then opens the devices, as the scenario's do. `breathe` is called all the while.
Control control_iteration(Target& target, const std::vector<int>& devices, const Usual& usual,
                          const std::function<void()>& breathe);

}  // namespace faultline
