#include "kernels_ref/mm/reclaim.h"

#include <utility>

#include "kernels_ref/mm/fault.h"
#include "kernels_ref/mm/huge_memory.h"
#include "kernels_ref/mm/khugepaged.h"
#include "kernels_ref/mm/migration_entries.h"

namespace faultline::ref {

bool reclaimable(const World& world, MmId mm, Slot slot) {
  const Pte& pte = world.mm[mm].pte[slot];
  return pte.kind == Pte::Kind::page && pte.lazyfree && !world.frame[pte.frame].locked && !folio_held(world, pte.frame);
}

namespace {

bool can_unmap(const World& w, MmId mm, Slot slot) {
  const Pte& pte = w.mm[mm].pte[slot];
  if (pte.frame == none || pte.kind != Pte::Kind::page) return false;
  const Frame& frame = w.frame[pte.frame];
  return reclaimable(w, mm, slot) || (frame.kind == Frame::Kind::shared && !frame.locked);
}

}  // namespace

bool can_page_out(const World& world, MmId mm, Slot slot) {
  return can_unmap(world, mm, slot) && !mapped_elsewhere(world, world.mm[mm].pte[slot].frame);
}

namespace {

// Whether the page cache may drop the page: a fault can get it back, from a disk or as zeroes (if nothing was
// ever stored), and nobody holds it but the page cache and its mappings.
bool can_leave_cache(Cpu cpu, const VmaPage& vma, FrameId page) {
  const Frame& frame = cpu.world().frame[page];
  if (frame.kind != Frame::Kind::shared || vma.object == none || frame.refs != 1 || frame.pins != 0 || frame.folio) return false;
  return frame.contents.home == none || cpu.shape->on_disk[vma.object];
}

Task<void> try_to_unmap_one(Cpu cpu, MmId mm, Slot slot, FrameId page, Gather* gather) {
  World& w = cpu.world();
  const bool notifies = cpu.on(Rule::reclaim_notifies);
  if (notifies) co_await invalidate_start(cpu, mm, slot, slot, Notify::clear);
  co_await cpu.step("try_to_unmap_one");
  if (w.mm[mm].pte[slot].frame == page && can_unmap(w, mm, slot)) {
    split_huge_pmd(cpu, mm, slot);
    zap(cpu, mm, slot, *gather);
  }
  if (notifies) co_await invalidate_end(cpu, mm);
}

}  // namespace

Task<void> try_to_unmap(Cpu cpu, MmId mm, Slot slot, Gather* gather) {
  World& w = cpu.world();
  const FrameId page = w.mm[mm].pte[slot].frame;
  const bool droppable = can_leave_cache(cpu, w.mm[mm].vma[slot], page);
  co_await try_to_unmap_one(cpu, mm, slot, page, gather);
  // Mappings that were made since the page was isolated lose it too.
  for (MmId m = 0; m < max_mms; ++m)
    for (Slot s = 0; s < cpu.shape->slots(); ++s)
      if (w.mm[m].pte[s].frame == page && w.frame[page].kind == Frame::Kind::shared)
        co_await try_to_unmap_one(cpu, m, s, page, gather);
  const auto unmapped = [&w, page] { return w.frame[page].mapcount == 0 && w.frame[page].pins == 0; };
  if (!droppable || !unmapped()) co_return;
  const int drops = co_await cpu.choose("__remove_mapping", 2);
  if (unmapped()) w.frame[page].dropped = drops == 1;
}

namespace {

bool mirror_locked(const World& w, MmId mm) {
  for (MirrorId id = mm; id < max_mirrors; id += max_mms)
    if (w.mirror[id].files && w.mirror[id].locked) return true;
  return false;
}

struct Job {
  enum class Kind { none, reclaim, collapse };
  Kind kind = Kind::none;
  MmId mm = 0;
  Slot slot = 0;
};

// The `which`-th thing that the kernel may do now. If there are fewer, `*count` is how many there are.
Job nth_job(Cpu cpu, int which, int* count) {
  const World& w = cpu.world();
  *count = 0;
  for (MmId mm = 0; mm < max_mms; ++mm) {
    if (mirror_locked(w, mm)) continue;  // the callback would wait
    for (Slot s = 0; s < cpu.shape->slots(); ++s) {
      if (reclaimable(w, mm, s) && (*count)++ == which) return {Job::Kind::reclaim, mm, s};
      if (cpu.shape->huge_pages && can_khugepaged(cpu, mm, s) && (*count)++ == which) return {Job::Kind::collapse, mm, s};
    }
  }
  return {};
}

bool program_runs(const World& w) {
  for (const ThreadState& t : w.thread)
    if (t.life == ThreadState::Life::running) return true;
  return false;
}

}  // namespace

Task<void> kernel_weather(Cpu cpu) {
  World& w = cpu.world();
  while (true) {
    const int which = co_await cpu.until(cpu.shape->huge_pages ? "khugepaged, kswapd" : "kswapd: try_to_unmap_one", [cpu] {
      int count = 0;
      nth_job(cpu, -1, &count);
      // It need not do anything: when the program has ended, it may end too.
      return count ? count + !program_runs(cpu.world()) : 0;
    });
    int count = 0;
    const auto [kind, mm, slot] = nth_job(cpu, which, &count);
    if (kind == Job::Kind::none) co_return;
    if (kind == Job::Kind::collapse) {
      khugepaged_scan(cpu, mm, slot);
      continue;
    }
    Gather gather;
    if (cpu.on(Rule::reclaim_notifies)) invalidate_now(cpu, mm, slot, slot);
    split_huge_pmd(cpu, mm, slot);
    zap(cpu, mm, slot, gather);
    // A process with one thread has one CPU, which forgets the old entry when it faults.
    if (w.process[mm].threads > 1) co_await cpu.step("kswapd: try_to_unmap_flush");
    if (cpu.on(Rule::reclaim_flushes)) flush(w, mm, slot, slot);
    free_gather(w, gather);
  }
}

}  // namespace faultline::ref
