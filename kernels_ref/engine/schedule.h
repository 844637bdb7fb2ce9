// Shortest schedules, and cycles in which nothing gets on.
//
// Breadth first and by one worker, so that the schedule that is told is a shortest one and always the
// same. For models of up to some million states: a node and an edge are kept for each.
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

// A step a line, each thread in a column of its own, under its name; a heading stands above its step.
std::string schedule_text(const Schedule& schedule, const std::vector<std::string>& names);

// A state as `shortest` shows it: nobody can go on (`end`), and some thread waits in vain (`waits`).
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
// What counts as progress must be counted in the World, so that no cycle contains it.
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
