#include "kernels_ref/reclaim.h"

#include <utility>

#include "kernels_ref/fault.h"

namespace faultline::ref {

bool reclaimable(const World& world, MmId mm, Slot slot) {
  const Pte& pte = world.mm[mm].pte[slot];
  if (pte.kind != Pte::Kind::page || !pte.lazyfree) return false;
  const Frame& frame = world.frame[pte.frame];
  return !frame.locked && frame.refs == 0 && frame.pins == 0;
}

bool can_page_out(const World& world, MmId mm, Slot slot) {
  const Pte& pte = world.mm[mm].pte[slot];
  if (pte.frame == none || pte.kind != Pte::Kind::page || mapped_elsewhere(world, pte.frame)) return false;
  const Frame& frame = world.frame[pte.frame];
  return reclaimable(world, mm, slot) || (frame.kind == Frame::Kind::shared && !frame.locked);
}

namespace {

// What can be had again: from a disk, or as zeroes where nothing was ever stored. Nobody but the page cache
// and this mapping may hold it.
bool can_leave_cache(Cpu cpu, MmId mm, Slot slot) {
  const VmaPage& vma = cpu.world().mm[mm].vma[slot];
  const Frame& frame = cpu.world().frame[cpu.world().mm[mm].pte[slot].frame];
  if (frame.kind != Frame::Kind::shared || vma.object == none || frame.refs != 1 || frame.pins != 0) return false;
  return frame.contents.home == none || cpu.shape->on_disk[vma.object];
}

}  // namespace

Task<void> try_to_unmap(Cpu cpu, MmId mm, Slot slot, Gather* gather) {
  const bool notifies = cpu.on(Rule::reclaim_notifies);
  if (notifies) co_await invalidate_start(cpu, mm, slot, slot, Event::clear);
  co_await cpu.step("try_to_unmap_one");
  if (can_page_out(cpu.world(), mm, slot)) {
    const FrameId page = cpu.world().mm[mm].pte[slot].frame;
    const bool droppable = can_leave_cache(cpu, mm, slot);
    zap(cpu, mm, slot, *gather);
    if (droppable) cpu.world().frame[page].dropped = co_await cpu.choose("__remove_mapping", 2) == 1;
  }
  if (notifies) co_await invalidate_end(cpu, mm);
}

namespace {

bool mirror_locked(const World& w, MmId mm) {
  for (MirrorId id = mm; id < max_mirrors; id += max_mms)
    if (w.mirror[id].files && w.mirror[id].locked) return true;
  return false;
}

// The `which`-th page that kswapd can take now, or their number.
std::pair<MmId, Slot> nth_reclaimable(Cpu cpu, int which, int* count) {
  const World& w = cpu.world();
  *count = 0;
  for (MmId mm = 0; mm < max_mms; ++mm) {
    if (mirror_locked(w, mm)) continue;  // the callback would wait
    for (Slot s = 0; s < cpu.shape->slots(); ++s)
      if (reclaimable(w, mm, s) && (*count)++ == which) return {mm, s};
  }
  return {};
}

bool program_runs(const World& w) {
  for (const ThreadState& t : w.thread)
    if (t.life == ThreadState::Life::running) return true;
  return false;
}

}  // namespace

Task<void> kswapd(Cpu cpu) {
  World& w = cpu.world();
  while (true) {
    const int which = co_await cpu.until("kswapd: try_to_unmap_one", [cpu] {
      int count = 0;
      nth_reclaimable(cpu, -1, &count);
      // It need not take anything: when the program has ended, it may end too.
      return count ? count + !program_runs(cpu.world()) : 0;
    });
    int count = 0;
    const auto [mm, slot] = nth_reclaimable(cpu, which, &count);
    if (which == count) co_return;
    Gather gather;
    if (cpu.on(Rule::reclaim_notifies)) invalidate_now(cpu, mm, slot);
    zap(cpu, mm, slot, gather);
    // The one CPU of a process with one thread forgets the old entry when it faults.
    if (w.process[mm].threads > 1) co_await cpu.step("kswapd: try_to_unmap_flush");
    flush(w, mm, slot, slot);
    free_gather(w, gather);
  }
}

}  // namespace faultline::ref
