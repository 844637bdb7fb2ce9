// What one thread of a scenario does, from its start to its end.
#pragma once

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

Task<void> thread_main(Cpu cpu);

}  // namespace faultline::ref
