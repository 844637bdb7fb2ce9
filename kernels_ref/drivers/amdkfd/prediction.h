// What a prediction asks of amdkfd's model.
#pragma once

#include <string>

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// Whether the device is one of amdkfd.
inline bool is_kfd(DeviceClass c) {
  return c == DeviceClass::unmap_and_retry || c == DeviceClass::preempt_and_restore || c == DeviceClass::fault_and_migrate;
}

// Ranges come of migrations, and of faults. Without one the driver hears of nothing.
bool has_ranges(const Program& program, DeviceClass device_class);

// Why nothing is predicted for a program with ranges; empty where it is.
std::string unknown_to_kfd(const Program& program);

// What was told, for an observe of events: letters of PageHistory.
std::string told_text(const World& world, int observe);

// Whether some page in the GPU's memory belongs to a range that the driver takes to be in system memory, or soon will,
// as a fork() shared part of it: who touches the page faults for ever.
bool loses_location(const Shape& shape, const World& world);

}  // namespace faultline::ref
