#include "kernels_ref/mm.h"

namespace faultline::ref {

FrameId alloc_frame(Cpu cpu, Frame::Kind kind, Contents contents) {
  World& w = cpu.world();
  for (FrameId f = 0; f < max_frames; ++f) {
    if (w.frame[f].kind != Frame::Kind::free) continue;
    w.frame[f].kind = kind;
    w.frame[f].contents = contents;
    return f;
  }
  cpu.breaks(Broken::tables_full);
  return max_frames - 1;
}

void put_frame(World& world, FrameId frame) {
  Frame& f = world.frame[frame];
  if (f.mapcount == 0 && f.refs == 0) f = Frame{};
}

void put_ref(World& world, FrameId frame) {
  --world.frame[frame].refs;
  put_frame(world, frame);
}

void set_pte(World& world, MmId mm, Slot slot, Pte pte) {
  Pte& entry = world.mm[mm].pte[slot];
  const Pte old = entry;
  if (pte.frame != none) ++world.frame[pte.frame].mapcount;
  entry = pte;
  if (old.frame != none) {
    --world.frame[old.frame].mapcount;
    put_frame(world, old.frame);
  }
}

void leave_stale(Cpu cpu, MmId mm, Slot slot, Pte old) {
  if ((old.kind != Pte::Kind::page && old.kind != Pte::Kind::zero) || old.protnone) return;
  auto& stale = cpu.world().mm[mm].stale[slot];
  for (Stale& s : stale) {
    if (s.pte == old) return;
    if (s.pte.kind == Pte::Kind::none) {
      s.pte = old;
      return;
    }
  }
  cpu.breaks(Broken::tables_full);
}

void flush(World& world, MmId mm, Slot from, Slot to) {
  for (Slot s = from; s <= to; ++s) world.mm[mm].stale[s] = {};
}

void zap(Cpu cpu, MmId mm, Slot slot, Gather& gather) {
  World& w = cpu.world();
  const Pte old = w.mm[mm].pte[slot];
  if (old.kind == Pte::Kind::none) return;
  if (old.frame != none && !gather[old.frame]) {
    gather.set(old.frame);
    get_ref(w, old.frame);
  }
  leave_stale(cpu, mm, slot, old);
  set_pte(w, mm, slot, {});
}

void free_gather(World& world, const Gather& gather) {
  for (FrameId f = 0; f < max_frames; ++f)
    if (gather[f]) put_ref(world, f);
}

void split(Cpu cpu, MmId mm, Slot from, Slot to) {
  auto& vma = cpu.world().mm[mm].vma;
  if (vma[from].mapped()) vma[from].head = VmaPage::Head::yes;
  const Slot next = cpu.shape->after(to);
  if (next >= 0 && vma[next].mapped()) vma[next].head = VmaPage::Head::yes;
}

namespace {
// can_vma_merge_before/after for the pages on both sides of a boundary.
VmaPage::Head boundary(const VmaPage& a, const VmaPage& b) {
  using Head = VmaPage::Head;
  if (!a.mapped() || a.backing != b.backing || a.read != b.read || a.write != b.write || a.dontfork != b.dontfork ||
      a.hugepage != b.hugepage)
    return Head::yes;
  if (a.backing == Backing::anon_shared)
    return a.object == b.object && a.object_page + 1 == b.object_page ? Head::no : Head::yes;
  if (a.pgoff + 1 != b.pgoff) return Head::yes;
  // is_mergeable_anon_vma has changed with the kernel's version wherever the two are not the same.
  return a.anon_vma == b.anon_vma ? Head::no : Head::maybe;
}
}  // namespace

void merge(Cpu cpu, MmId mm, Slot from, Slot to) {
  auto& vma = cpu.world().mm[mm].vma;
  const Slot next = cpu.shape->after(to);
  for (Slot s = from; s <= (next >= 0 ? next : to); ++s) {
    if (!vma[s].mapped() || vma[s].head == VmaPage::Head::no) continue;
    const Slot before = cpu.shape->before(s);
    const VmaPage::Head now = before >= 0 ? boundary(vma[before], vma[s]) : VmaPage::Head::yes;
    // Only the ends of the changed range are sure to be looked at.
    vma[s].head = now == VmaPage::Head::no && s != from && s != next ? VmaPage::Head::maybe : now;
  }
}

Slot vma_end(Cpu cpu, MmId mm, Slot slot, Slot to) {
  const auto& vma = cpu.world().mm[mm].vma;
  while (slot < to && vma[slot + 1].mapped() && vma[slot + 1].head == VmaPage::Head::no) ++slot;
  return slot;
}

void drop_vma(World& world, MmId mm, Slot slot) {
  VmaPage& vma = world.mm[mm].vma[slot];
  if (vma.object != none) {
    Object& object = world.object[vma.object];
    if (--object.mappings == 0) {
      for (std::uint8_t& f : object.frame)
        if (f != none) put_ref(world, f);
      object = {};
    }
  }
  vma = {};
}

int new_object(Cpu cpu) {
  World& w = cpu.world();
  for (int o = 0; o < max_objects; ++o) {
    if (w.object[o].mappings) continue;
    w.object[o].frame.fill(none);
    return o;
  }
  cpu.breaks(Broken::tables_full);
  return max_objects - 1;
}

void prepare_anon_vma(Cpu cpu, MmId mm, Slot slot) {
  auto& vma = cpu.world().mm[mm].vma;
  if (vma[slot].anon_vma) return;
  // find_mergeable_anon_vma: a neighbour that could be merged but for its permissions shares its own.
  int identity = slot + 1;
  Slot first = slot, last = vma_end(cpu, mm, slot, cpu.shape->slots - 1);
  while (vma[first].head == VmaPage::Head::no && cpu.shape->before(first) >= 0) --first;
  const Slot left = cpu.shape->before(first), right = cpu.shape->after(last);
  if (right >= 0 && vma[right].anon_vma && vma[right].pgoff == vma[last].pgoff + 1) identity = vma[right].anon_vma;
  if (left >= 0 && vma[left].anon_vma && vma[left].pgoff + 1 == vma[first].pgoff) identity = vma[left].anon_vma;
  for (Slot s = first; s <= last; ++s) vma[s].anon_vma = identity;
}

bool can_start_write(const World& world, MmId mm, Slot from, Slot to) {
  for (Slot s = from; s <= to; ++s)
    if (world.mm[mm].vma[s].faulting) return false;
  return true;
}

void start_write(World& world, MmId mm, Slot from, Slot to) {
  for (Slot s = from; s <= to; ++s) world.mm[mm].vma[s].locked = 1;
}

namespace {
void end_write(World& world, MmId mm) {
  for (VmaPage& vma : world.mm[mm].vma) vma.locked = 0;
  world.mm[mm].writer = 0;
}
}  // namespace

void write_unlock(World& world, MmId mm) { end_write(world, mm); }

void downgrade(World& world, MmId mm) {
  end_write(world, mm);
  ++world.mm[mm].readers;
}

}  // namespace faultline::ref
