// The driver of each device class. A new class is one file here (or a folder) that defines its driver<>(). If it is missing,
// the linker says so.
#pragma once

#include <string>

#include "harness/outcome.h"
#include "kernels_ref/mm/driver_ops.h"

namespace faultline::ref {

struct Driver {
  DriverOps ops;

  // The rest is for predictions only. Null: it does not apply to this driver.
  // Whether the driver has anything to do in the Program. If not, a recoverable device behaves the same.
  bool (*has_work)(const Program&) = nullptr;
  // Why nothing is predicted for a Program in which it has something to do; empty: it is predicted.
  std::string (*not_modelled)(const Program&) = nullptr;
  // Which of the driver's events belong to the machine's weather.
  Observable::Weather weather = Observable::Weather::none;
  // The events that the driver has reported, for an observe of events: letters of PageHistory.
  std::string (*events_text)(const World&, int observe) = nullptr;
  // Whether a fault of the CPU can bring the page back from the device's memory. If not, SIGBUS.
  bool (*brings_back)(const World&, Slot, FrameId page) = nullptr;
  // Whether a look at an end state may fault for ever (MetBug::lost_location).
  bool (*loses_location)(const Shape&, const World&) = nullptr;
};

template <DeviceClass device_class>
const Driver& driver();

const Driver& driver_of(DeviceClass device_class);

}  // namespace faultline::ref
