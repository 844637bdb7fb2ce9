#include "kernels_ref/mm/migration_entries.h"

#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

bool mapped_elsewhere(const World& world, FrameId page) { return world.frame[page].mapcount > 1; }

bool copied_elsewhere(const World& world, FrameId page, MmId own) {
  for (MirrorId id = 0; id < max_mirrors; ++id)
    if (world.mirror[id].copying == page && mm_of(id) != own) return true;
  return false;
}

void unmap_for_migration(Cpu cpu, MmId own, FrameId page, bool tells_own, Slot at) {
  World& w = cpu.world();
  tells_own = tells_own && mapped_elsewhere(w, page);
  for (MmId m = 0; m < max_mms; ++m) {
    for (Slot s = 0; s < cpu.shape->slots(); ++s) {
      Pte& pte = w.mm[m].pte[s];
      if (pte.frame != page || pte.kind == Pte::Kind::migration) continue;
      split_huge_pmd(cpu, m, s);
      leave_stale(cpu, m, s, pte);
      pte.kind = Pte::Kind::migration;
      pte.protnone = 0;
      if (cpu.on(Rule::migrate_flushes)) flush(w, m, s, s);
      if (m != own || tells_own || (at >= 0 && s != at)) invalidate_now(cpu, m, s, s);
    }
  }
}

void remove_migration_entries(Cpu cpu, FrameId page, FrameId to) {
  World& w = cpu.world();
  const bool device = w.frame[to].kind == Frame::Kind::device;
  for (MmId m = 0; m < max_mms; ++m) {
    for (Slot s = 0; s < cpu.shape->slots(); ++s) {
      Pte pte = w.mm[m].pte[s];
      if (pte.kind != Pte::Kind::migration || pte.frame != page) continue;
      pte.kind = device ? Pte::Kind::device : Pte::Kind::page;
      pte.frame = static_cast<std::uint8_t>(to);
      if (!cpu.on(Rule::migrate_respects_write)) pte.writable = 1;
      if (!cpu.on(Rule::migrate_keeps_protection)) pte.uffd_wp = 0;
      // A shared mapping's vm_page_prot allows what the VMA does, unless it waits for page_mkwrite.
      const VmaPage& vma = w.mm[m].vma[s];
      if (vma.object != none && !vma.is_private() && !cpu.shape->tracks_dirty[vma.object]) pte.writable = vma.write;
      pte.protnone = !device && !w.mm[m].vma[s].accessible();
      set_pte(w, m, s, pte);
    }
  }
}

}  // namespace faultline::ref
