// What a prediction asks of amdkfd's model.
#pragma once

#include <string>

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// Ranges come of migrations, and of faults where accesses go through ranges. Without one the driver hears of nothing.
bool migrates(const Program& program);
bool migrates_or_accesses(const Program& program);

// Why nothing is predicted for a program with ranges; empty where it is.
std::string not_modelled(const Program& program);

// What was told, for an observe of events: letters of PageHistory.
std::string told_text(const World& world, int observe);

// Whether svm_migrate_to_ram finds a range of the page's owner there.
bool brings_back(const World& world, Slot slot, FrameId page);

// Whether some page in the GPU's memory belongs to a range that the driver takes to be in system memory, or soon will,
// as a fork() shared part of it: who touches the page faults for ever.
bool loses_location(const Shape& shape, const World& world);

}  // namespace faultline::ref
