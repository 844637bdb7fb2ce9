// The driver of each device class. A new class is one file here (or a folder): it defines its driver<>(), and the linker
// asks for it.
#pragma once

#include <string>

#include "harness/outcome.h"
#include "kernels_ref/mm/driver_ops.h"

namespace faultline::ref {

struct Driver {
  DriverOps ops;

  // What only a prediction asks. Null: there is nothing to ask.
  // Whether the driver has anything to do in the Program. If not, a recoverable device behaves as this one.
  bool (*has_work)(const Program&) = nullptr;
  // Why nothing is predicted for a Program in which it has; empty where it is.
  std::string (*not_modelled)(const Program&) = nullptr;
  // What belongs to the machine's weather in what the driver tells.
  Observable::Weather weather = Observable::Weather::none;
  // What it has told, for an observe of events: letters of PageHistory.
  std::string (*events_text)(const World&, int observe) = nullptr;
  // Whether a fault of the CPU finds its way back from the device's memory: else SIGBUS.
  bool (*brings_back)(const World&, Slot, FrameId page) = nullptr;
  // Whether who looks at an end state may fault for ever (MetBug::lost_location).
  bool (*loses_location)(const Shape&, const World&) = nullptr;
};

template <DeviceClass device_class>
const Driver& driver();

const Driver& driver_of(DeviceClass device_class);

}  // namespace faultline::ref
