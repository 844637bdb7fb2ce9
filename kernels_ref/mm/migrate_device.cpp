#include "kernels_ref/mm/migrate_device.h"

#include "kernels_ref/mm/migration_entries.h"

namespace faultline::ref {

Task<int> migrate_vma_setup_ways(Cpu cpu, MmId mm, Slot from, Slot to) {
  co_return co_await cpu.until("migrate_vma_setup", [cpu, mm, from, to] {
    for (Slot s = from; s <= to; ++s) {
      const std::uint8_t f = cpu.world().mm[mm].pte[s].frame;
      if (f != none && mapped_elsewhere(cpu.world(), f)) return 2;
    }
    return 1;
  });
}

FrameId device_page_for(Cpu cpu, MirrorId owner, FrameId source, Slot slot) {
  World& w = cpu.world();
  const bool copies = source != zero_page && cpu.on(Rule::migrate_copies);
  const FrameId page =
      alloc_frame(cpu, Frame::Kind::device, copies ? w.frame[source].contents : Contents{}, {mm_of(owner), slot});
  w.frame[page].owner = static_cast<std::uint8_t>(owner);
  w.frame[page].exclusive = source == zero_page ? 1 : w.frame[source].exclusive;
  w.frame[page].locked = 1;
  get_ref(w, page);
  return page;
}

void release_device_page(World& world, FrameId page) {
  world.frame[page].locked = 0;
  put_ref(world, page);
}

FramesOfRange system_pages_for(Cpu cpu, const FramesOfRange& device, MmId mm, Slot from) {
  World& w = cpu.world();
  FramesOfRange system;
  system.fill(none);
  for (std::size_t i = 0; i < device.size(); ++i) {
    if (device[i] == none) continue;
    const Frame& old = w.frame[device[i]];
    const FrameId f = alloc_frame(cpu, Frame::Kind::anon, cpu.on(Rule::migrate_back_copies) ? old.contents : Contents{},
                                  {mm, from + static_cast<Slot>(i)});
    w.frame[f].exclusive = old.exclusive;
    get_ref(w, f);
    system[i] = static_cast<std::uint8_t>(f);
  }
  return system;
}

bool migrate_vma_insert_page(Cpu cpu, MmId mm, Slot slot, FrameId page, bool writable) {
  World& w = cpu.world();
  const Pte pte = w.mm[mm].pte[slot];
  if (pte.kind != Pte::Kind::none && pte.kind != Pte::Kind::zero) return false;
  prepare_anon_vma(cpu, mm, slot);
  if (w.mm[mm].vma[slot].uffd_missing && cpu.on(Rule::migrate_leaves_missing)) return false;
  set_pte(w, mm, slot, {Pte::Kind::device, static_cast<std::uint8_t>(page), writable});
  flush(w, mm, slot, slot);
  return true;
}

void migrate_vma_finalize(Cpu cpu, FrameId old, FrameId fresh) {
  World& w = cpu.world();
  remove_migration_entries(cpu, old, fresh);
  w.frame[old].locked = 0;
  put_ref(w, old);
}

}  // namespace faultline::ref
