// What a prediction asks of amdkfd's model.
#pragma once

#include <string>

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// Migrations create ranges. So do device faults, if accesses go through ranges. Without a range the driver is not notified.
bool migrates(const Program& program);
bool migrates_or_accesses(const Program& program);

// Why nothing is predicted for a program with ranges; empty: it is predicted.
std::string not_modelled(const Program& program);

// The events that the driver has reported, for an observe of events: letters of PageHistory.
std::string told_text(const World& world, int observe);

// Whether svm_migrate_to_ram finds a range of the page's owner there.
bool brings_back(const World& world, Slot slot, FrameId page);

// Whether some page in the GPU's memory belongs to a range that the driver believes to be in system memory, or soon will
// believe so because fork() shared part of the range. An access to such a page faults for ever.
bool loses_location(const Shape& shape, const World& world);

}  // namespace faultline::ref
