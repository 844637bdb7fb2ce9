// What a prediction depends on, in addition to the Program.
#pragma once

#include "harness/program.h"
#include "kernels_ref/mm/rules.h"

namespace faultline {

struct Facets {
  DeviceClass device_class = DeviceClass::recoverable;
  ref::Rules dropped;  // rules of the reference to leave out: the model of a broken kernel
};

}  // namespace faultline
