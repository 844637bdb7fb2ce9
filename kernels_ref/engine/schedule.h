// Shortest schedules, and cycles without progress.
//
// Breadth first and by one worker, so that the reported schedule is a shortest one, and always the same
// one. For models of up to a few million states, because all nodes (and for cycles all edges) are kept.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels_ref/engine/execution.h"

namespace faultline::ref {

// One step: the thread, which of its ways it took, and what it did (kernel function, and where in it).
struct ScheduleStep {
  int thread = 0;
  int way = 0;
  std::string label;
  std::string heading = {};  // what the thread begins with this step; empty: it goes on
};
using Schedule = std::vector<ScheduleStep>;

// One line for each step. Each thread has a column under its name. A heading stands above its step.
std::string schedule_text(const Schedule& schedule, const std::vector<std::string>& names);

// A state as `shortest` shows it to `goal`. `end`: no thread can go on. `waits`: and some thread waits in vain.
struct Moment {
  const void* world = nullptr;
  bool end = false;
  bool waits = false;
};

struct Found {
  std::optional<Schedule> schedule;
  bool complete = true;  // false: the budget ended first, so that no schedule means nothing
};

// The shortest schedule that leads to a state for which `goal` holds.
Found shortest(const Subject& subject, const std::function<bool(const Moment&)>& goal, std::uint64_t max_states);

// A cycle that fair scheduling does not leave: every thread either moves in it or waits somewhere in it.
// The World must count progress, so that no cycle contains progress.
struct Livelock {
  Schedule leading;  // to the cycle
  Schedule cycle;
};
struct LivelockFound {
  std::optional<Livelock> livelock;
  bool complete = true;
};
LivelockFound find_livelock(const Subject& subject, std::uint64_t max_states);

}  // namespace faultline::ref
