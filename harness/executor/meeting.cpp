#include "harness/executor/meeting.h"

#include <algorithm>

namespace faultline {

void suspect(Area& area, int process, Suspect certainty) {
  std::atomic<std::uint32_t>& suspicion = area.processes[process].suspect;
  std::uint32_t before = suspicion.load();
  // Certainty must never decrease, because two threads may kill the same process.
  while (before < static_cast<std::uint32_t>(certainty) &&
         !suspicion.compare_exchange_weak(before, static_cast<std::uint32_t>(certainty))) {}
  if (before == static_cast<std::uint32_t>(Suspect::no)) area.suspects.fetch_add(1);
  area.finished.bump();
}

void finish_thread(ProcessContext& context, int thread) {
  Area& area = context.area;
  area.threads[thread].done.store(1, std::memory_order_release);
  if (context.layout.has_barriers) area.meeting.bump();
  if (context.unasked) {
    if (area.live.fetch_sub(1) != 1) return;
    area.over.set(area.round.get());
    // Otherwise the processes that look at what is observed wake the runner, or the leader does.
    if (context.program.observes.empty() && !unattended(context)) area.finished.bump();
    return;
  }
  // Threads of a killed process stay counted in `live`, so it does not reach 0. If there is a suspect, wake the runner for
  // every thread that finishes.
  if (area.live.fetch_sub(1) == 1 || area.suspects.load() != 0) area.finished.bump();
}

bool never_born(const Program& program, const Layout& layout, const Area& area, int process) {
  const auto life = [&] { return static_cast<Life>(area.processes[process].life.load()); };
  if (life() == Life::born) return false;
  if (life() == Life::failed) return true;
  // Test gone() before life(): once the forker is gone, `life` no longer changes. If a forker died while `life` was
  // `forking`, the runner resolves it.
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
    // Some thread may name the barrier less often than this one. Do not wait for it after its last use.
    for (const Layout::Party& other : context.layout.meeting[barrier])
      if (area.threads[other.thread].arrivals[barrier].load() < std::min(mine, other.uses) &&
          !gone(context.program, context.layout, area, other.thread))
        return false;
    return true;
  };
  await(area, area.meeting, all_there, context.oversubscribed);
}

}  // namespace faultline
