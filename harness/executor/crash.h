// Why a process under test is dead that nobody in the scenario has ended, and whose doing it was.
#pragma once

#include <optional>
#include <string>

#include "harness/executor/area.h"
#include "harness/executor/executor.h"
#include "harness/executor/layout.h"
#include "harness/executor/process_watch.h"

namespace faultline {

struct Death {
  std::optional<Crash> crash;  // the driver's doing
  std::string error;           // else: the bench's own, or somebody's outside, in words
};

// As the thread tells that took the signal (Area::fatal_signal).
Death death_by_signal(const Program& program, const Layout& layout, const Area& area);

// Of a process that did not tell. `killed_for_memory`: the kernel has killed some process since the run began.
Death death_unannounced(const Program& program, const Layout& layout, const Area& area, int process, const Ending& ending,
                        bool killed_for_memory);

// How many processes the kernel has killed for want of memory; 0 where it does not tell.
std::uint64_t processes_killed_for_memory();

}  // namespace faultline
