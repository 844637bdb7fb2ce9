// A process under test is dead, and no statement of the scenario ended it. Finds out why: because of the driver, of the
// bench, or of something outside.
#pragma once

#include <optional>
#include <string>

#include "harness/executor/area.h"
#include "harness/executor/executor.h"
#include "harness/executor/layout.h"
#include "harness/executor/process_watch.h"

namespace faultline {

struct Death {
  std::optional<Crash> crash;  // the driver did it
  std::string error;           // otherwise: what the bench, or something outside, did
};

// For a process with a thread that recorded its signal in Area::fatal_signal.
Death death_by_signal(const Program& program, const Layout& layout, const Area& area);

// For a process that recorded nothing. `killed_for_memory`: the OOM killer has killed some process since the run began.
Death death_unannounced(const Program& program, const Layout& layout, const Area& area, int process, const Ending& ending,
                        bool killed_for_memory);

// How many processes the OOM killer has killed (oom_kill in /proc/vmstat). 0 if the kernel does not tell.
std::uint64_t processes_killed_for_memory();

}  // namespace faultline
