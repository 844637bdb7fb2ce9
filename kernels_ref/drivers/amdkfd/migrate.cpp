#include "kernels_ref/drivers/amdkfd/migrate.h"

#include <cerrno>

#include "kernels_ref/drivers/amdkfd/prediction.h"
#include "kernels_ref/drivers/amdkfd/retry_fault.h"
#include "kernels_ref/mm/migrate_device.h"
#include "kernels_ref/mm/migration_entries.h"

namespace faultline::ref {

namespace {

// migrate_vma_collect and migrate_vma_unmap for one page. False: it cannot be moved.
bool collect(Cpu cpu, MmId mm, Slot s, bool tells_own) {
  World& w = cpu.world();
  const std::uint8_t f = w.mm[mm].pte[s].frame;
  if (w.frame[f].locked || w.frame[f].refs || w.frame[f].pins) return false;
  w.frame[f].locked = 1;
  get_ref(w, f);
  unmap_for_migration(cpu, mm, f, tells_own, s);
  return true;
}

// Whether MIGRATE_END is reported if nothing has moved: only newer kernels do.
Task<bool> tells_of_nothing(Cpu cpu) { co_return co_await cpu.choose("kfd_smi_event_migration_end", 2) == 1; }

// svm_migrate_vma_to_vram. Inserts zeroes where no page was. Returns how many pages it collected.
Task<int> vma_to_vram(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  FramesOfRange source, device;
  source.fill(none);
  device.fill(none);
  bool writable[limits::spans_per_region] = {};
  int collected = 0;
  co_await invalidate_start(cpu, mm, from, to, Notify::migrate);
  const int tells_own = co_await migrate_vma_setup_ways(cpu, mm, from, to);
  for (Slot s = from; s <= to; ++s) {
    const Pte pte = w.mm[mm].pte[s];
    const bool absent = pte.kind == Pte::Kind::none || pte.kind == Pte::Kind::zero;
    if (!absent && (pte.kind != Pte::Kind::page || !collect(cpu, mm, s, tells_own))) continue;
    source[s - from] = absent ? zero_page : pte.frame;
    writable[s - from] = absent ? w.mm[mm].vma[s].write : pte.writable;
    ++collected;
  }
  co_await invalidate_end(cpu, mm);
  if (!collected) {
    const bool says = co_await tells_of_nothing(cpu);
    if (says) tell(cpu, mm, from, to, 'D');
    co_return 0;
  }
  co_await cpu.step("svm_migrate_copy_to_vram");
  bool inserts = false;
  for (Slot s = from; s <= to; ++s) {
    const std::uint8_t f = source[s - from];
    if (f == none) continue;
    device[s - from] = static_cast<std::uint8_t>(device_page_for(cpu, id, f, s));
  }
  for (Slot s = from; s <= to; ++s) {
    if (source[s - from] != zero_page) continue;
    if (!inserts) co_await invalidate_start(cpu, mm, s, to, Notify::migrate);
    inserts = true;
    co_await cpu.step("migrate_vma_insert_page");
    migrate_vma_insert_page(cpu, mm, s, device[s - from], writable[s - from]);
  }
  if (inserts) co_await invalidate_end(cpu, mm);
  co_await cpu.step("migrate_vma_finalize");
  for (Slot s = from; s <= to; ++s) {
    const std::uint8_t f = source[s - from];
    if (f == none) continue;
    if (f != zero_page) migrate_vma_finalize(cpu, f, device[s - from]);
    release_device_page(w, device[s - from]);
  }
  tell(cpu, mm, from, to, 'D');
  co_return collected;
}

// svm_migrate_vma_to_ram. Returns how many pages did not migrate.
Task<int> vma_to_ram(Cpu cpu, MirrorId id, MmId mm, Slot from, Slot to) {
  World& w = cpu.world();
  FramesOfRange device;
  device.fill(none);
  int collected = 0, left = 0;
  co_await invalidate_start(cpu, mm, from, to, Notify::migrate);
  const int tells_own = co_await migrate_vma_setup_ways(cpu, mm, from, to);
  for (Slot s = from; s <= to; ++s) {
    const Pte pte = w.mm[mm].pte[s];
    if (!owns(w, pte, device_of(id))) continue;
    if (collect(cpu, mm, s, tells_own)) device[s - from] = pte.frame, ++collected;
    else ++left;
  }
  co_await invalidate_end(cpu, mm);
  if (!collected) {
    const bool says = co_await tells_of_nothing(cpu);
    if (says) tell(cpu, mm_of(id), from, to, 'S');
    co_return left;
  }
  co_await cpu.step("svm_migrate_copy_to_ram");
  const FramesOfRange system = system_pages_for(cpu, device, mm, from);
  co_await cpu.step("migrate_vma_finalize");
  for (std::size_t i = 0; i < device.size(); ++i) {
    if (device[i] == none) continue;
    migrate_vma_finalize(cpu, device[i], system[i]);
    put_ref(w, system[i]);
  }
  tell(cpu, mm_of(id), from, to, 'S');
  co_return left;
}

}  // namespace

Task<void> svm_migrate_ram_to_vram(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  int collected = 0;
  for (Slot s = from; s <= to && w.mm[mm].vma[s].mapped();) {
    const Slot last = vma_end(cpu, mm, s, to);
    const int pages = co_await vma_to_vram(cpu, id, s, last);
    collected += pages;
    s = last + 1;
  }
  if (collected) each_page(w.svms[mm], from, to, [](SvmPage& page) { page.vram = 1; });
}

Task<bool> svm_migrate_vram_to_ram(Cpu cpu, MirrorId id, MmId mm, Slot from, Slot to) {
  World& w = cpu.world();
  int left = 0;
  for (Slot s = from; s <= to;) {
    if (!w.mm[mm].vma[s].mapped()) co_return false;
    const Slot last = vma_end(cpu, mm, s, to);
    const int pages = co_await vma_to_ram(cpu, id, mm, s, last);
    left += pages;
    s = last + 1;
  }
  if (!left) each_page(w.svms[mm_of(id)], from, to, [](SvmPage& page) { page.vram = 0; });
  co_return true;
}

Task<Fault> svm_migrate_to_ram(Cpu cpu, MmId mm, Slot slot, FrameId page) {
  World& w = cpu.world();
  const MirrorId id = w.frame[page].owner;
  Svms& svms = w.svms[mm_of(id)];
  co_await cpu.until("svm_migrate_to_ram: svms->lock", [&svms] { return !svms.locked; });
  svms.locked = 1;
  bool found = svms.page[slot].in;
  if (found && svms.page[slot].vram) {
    const Slot first = range_first(svms, slot), last = range_last(*cpu.shape, svms, slot);
    const bool whole = cpu.on(Rule::kfd_migrates_range);
    found = co_await svm_migrate_vram_to_ram(cpu, id, mm, whole ? first : slot, whole ? last : slot);
    // This fault holds its page in VRAM until after it has unlocked svms->lock. A worker frees the range's memory later still.
    if (!svms.page[slot].vram && answers_fault(w, first, last)) cpu.meets(MetBug::reused_page), cpu.meets(MetBug::released_bo);
  } else if (const Pte& pte = w.mm[mm].pte[slot]; found && pte.kind == Pte::Kind::device && pte.frame == page) {
    cpu.meets(MetBug::lost_location);
  }
  svms.locked = 0;
  co_return found ? Fault::done : Fault::sigbus;
}

bool brings_back(const World& w, Slot slot, FrameId page) { return w.svms[mm_of(w.frame[page].owner)].page[slot].in; }

bool loses_location(const Shape& shape, const World& w) {
  for (MmId mm = 0; mm < max_mms; ++mm)
    for (Slot s = 0; s < shape.slots(); ++s) {
      const Pte& pte = w.mm[mm].pte[s];
      if (pte.kind != Pte::Kind::device) continue;
      const MmId owner = mm_of(w.frame[pte.frame].owner);
      const Svms& svms = w.svms[owner];
      if (!svms.page[s].in) continue;
      if (!svms.page[s].vram) return true;
      if (mm == owner) continue;
      for (Slot p = range_first(svms, s); p <= range_last(shape, svms, s); ++p) {
        const Pte& own = w.mm[owner].pte[p];
        if (own.kind == Pte::Kind::device && w.mm[mm].pte[p].frame != own.frame) return true;
      }
    }
  return false;
}

}  // namespace faultline::ref
