// One statement as a line of C.
#pragma once

#include <string>

#include "stress/repro/names.h"
#include "stress/repro/repro.h"

namespace faultline::repro {

struct Speech {
  const Program& program;
  const Names& names;
  Machine machine;
  bool deaths;  // some process may end before the iteration does
};

// The C expression for the result of a statement that has one: a long. `faults` is the address of what the device's fault goes
// into, or NULL; `letters` the member for the letters of a snapshot. `slot` tells the statements of the Program apart.
std::string expression(const Speech& speech, const Thread& thread, const Operation& operation, int slot,
                       const std::string& faults, const std::string& letters);

std::string protection_text(Protection protection);
// The arguments of mmap() for protection, flags and descriptor.
std::string mapping(const Speech& speech, Backing backing, Protection protection, int file);

// Path of the device node.
std::string device_path(int device);

}  // namespace faultline::repro
