#include "harness/executor/meeting.h"

#include <algorithm>

namespace faultline {

void suspect(Area& area, int process, Suspect certainty) {
  std::atomic<std::uint32_t>& suspicion = area.processes[process].suspect;
  std::uint32_t before = suspicion.load();
  // Never less sure than before: two threads may kill one process.
  while (before < static_cast<std::uint32_t>(certainty) &&
         !suspicion.compare_exchange_weak(before, static_cast<std::uint32_t>(certainty))) {}
  if (before == static_cast<std::uint32_t>(Suspect::no)) area.suspects.fetch_add(1);
  area.finished.bump();
}

void finish_thread(ProcessContext& context, int thread) {
  Area& area = context.area;
  area.threads[thread].done.store(1, std::memory_order_release);
  if (context.layout.has_barriers) area.meeting.bump();
  // Threads of a process that was killed stay in `live`, so that where one is ended the runner looks at
  // every thread that finishes.
  if (area.live.fetch_sub(1) == 1 || area.suspects.load() != 0) area.finished.bump();
}

bool never_born(const Program& program, const Layout& layout, const Area& area, int process) {
  const auto life = [&] { return static_cast<Life>(area.processes[process].life.load()); };
  if (life() == Life::born) return false;
  if (life() == Life::failed) return true;
  // In this order: a forker that is gone has said what became of its child. `forking` by a dead forker is
  // for the runner to clear up.
  const int forker = layout.forker[process];
  return forker < 0 || (gone(program, layout, area, forker) && life() == Life::unborn);
}

bool gone(const Program& program, const Layout& layout, const Area& area, int thread) {
  const int process = program.threads[thread].process;
  if (area.threads[thread].done.load(std::memory_order_acquire) != 0) return true;
  if (area.processes[process].ended.load(std::memory_order_acquire) != 0) return true;
  return program.processes[process].parent >= 0 && never_born(program, layout, area, process);
}

void meet(ProcessContext& context, int barrier, int thread) {
  Area& area = context.area;
  const std::uint32_t mine = area.threads[thread].arrivals[barrier].fetch_add(1) + 1;
  area.meeting.bump();
  const auto all_there = [&] {
    // A thread that names it less often than we do is not waited for again.
    for (const Layout::Party& other : context.layout.meeting[barrier])
      if (area.threads[other.thread].arrivals[barrier].load() < std::min(mine, other.uses) &&
          !gone(context.program, context.layout, area, other.thread))
        return false;
    return true;
  };
  await(area, area.meeting, all_there, context.oversubscribed);
}

}  // namespace faultline
