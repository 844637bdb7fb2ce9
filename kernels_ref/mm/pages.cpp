#include "kernels_ref/mm/huge_memory.h"

#include <algorithm>
#include <utility>

namespace faultline::ref {

namespace {

// The `nth` number to try for an address, from 0. In each round every address has one number of its own. After those come
// all numbers below `end`, so some come twice.
int numbered(Cpu cpu, Address address, int nth, int end) {
  const int all = cpu.shape->slots() * static_cast<int>(cpu.shape->program->processes.size());
  const int own = address.mm * cpu.shape->slots() + address.slot + nth * all;
  return own < end ? own : nth % end;
}

}  // namespace

FrameId alloc_frame(Cpu cpu, Frame::Kind kind, Contents contents, Address address) {
  World& w = cpu.world();
  for (int nth = 0; nth < 2 * max_frames; ++nth) {
    const FrameId f = numbered(cpu, address, nth, max_frames);
    if (w.frame[f].kind != Frame::Kind::free) continue;
    w.frame[f].kind = kind;
    w.frame[f].contents = contents;
    return f;
  }
  cpu.breaks(Broken::tables_full);
  return max_frames - 1;
}

std::uint8_t new_folio(Cpu cpu, Address address) {
  const auto& frames = cpu.world().frame;
  const auto taken = [&frames](int number) {
    return std::ranges::any_of(frames, [number](const Frame& f) { return f.folio == number; });
  };
  int nth = 0;
  while (taken(1 + numbered(cpu, address, nth, max_frames))) ++nth;  // there are fewer folios than frames
  return static_cast<std::uint8_t>(1 + numbered(cpu, address, nth, max_frames));
}

void put_frame(World& world, FrameId frame) {
  Frame& f = world.frame[frame];
  if (f.mapcount != 0 || f.refs != 0 || f.pins != 0) return;
  if (f.kind == Frame::Kind::device)
    for (const Mirror& mirror : world.mirror)
      if (mirror.copying == frame) world.known_bugs |= 1u << static_cast<int>(MetBug::freed_private_copy);
  f = Frame{};
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
  if (old.lazyfree) old.writable = old.lazyfree = 0;  // not dirty: a store walks the page table first
  old.huge = old.uffd_wp = 0;
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
  split_huge_pmd_at(cpu, mm, from, to);  // vma_adjust_trans_huge
  auto& vma = cpu.world().mm[mm].vma;
  if (vma[from].mapped()) vma[from].head = 1;
  const Slot next = cpu.shape->after(to);
  if (next >= 0 && vma[next].mapped()) vma[next].head = 1;
}

namespace {

enum class Joint { never, perhaps, surely };

// can_vma_merge_before/after for the pages on both sides of a boundary.
Joint joint(const VmaPage& a, const VmaPage& b) {
  if (!a.mapped() || a.backing != b.backing || a.read != b.read || a.write != b.write || a.dontfork != b.dontfork ||
      a.wipeonfork != b.wipeonfork || a.hugepage != b.hugepage || a.growsdown != b.growsdown ||
      a.uffd_missing != b.uffd_missing || a.uffd_wp != b.uffd_wp)
    return Joint::never;
  if (a.object != b.object || a.pgoff + 1 != b.pgoff) return Joint::never;
  using Account = VmaPage::Account;
  const bool sure = a.account != Account::maybe && b.account != Account::maybe;
  if (sure && a.account != b.account) return Joint::never;
  if (a.anon_vma == b.anon_vma) return sure ? Joint::surely : Joint::perhaps;
  // is_mergeable_anon_vma: two different anon_vmas never merge. If only one VMA has an anon_vma, they merge
  // only if no parent has it too. Which of the two VMAs has to be the changed one depends on the kernel's
  // version (since 6.16 either may be).
  return (a.anon_vma && b.anon_vma) || a.inherited || b.inherited ? Joint::never : Joint::perhaps;
}

struct Merge {
  bool left = false, right = false;
};

// The `way`-th merge of [from, to] that some kernel does. If there are fewer, the second is how many there are.
std::pair<Merge, int> nth_merge(Cpu cpu, MmId mm, Slot from, Slot to, int way) {
  const auto& vma = cpu.world().mm[mm].vma;
  const Slot before = cpu.shape->before(from), next = cpu.shape->after(to);
  const Joint left = before >= 0 ? joint(vma[before], vma[from]) : Joint::never;
  const Joint right = next >= 0 && vma[next].mapped() ? joint(vma[to], vma[next]) : Joint::never;
  // Either neighbour could be merged, but perhaps not both together. Kernels differ in which one they prefer.
  const bool rivals = left != Joint::never && right != Joint::never && vma[before].anon_vma != vma[next].anon_vma;
  int ways = 0;
  for (const Merge m : {Merge{true, true}, Merge{true, false}, Merge{false, true}, Merge{}}) {
    if ((m.left && left == Joint::never) || (m.right && right == Joint::never)) continue;
    if (m.left && m.right && rivals && vma[before].anon_vma && vma[next].anon_vma) continue;
    if (!m.left && left == Joint::surely && !(rivals && m.right)) continue;
    if (!m.right && right == Joint::surely && !(rivals && m.left)) continue;
    if (ways++ == way) return {m, way};
  }
  return {{}, ways};
}

}  // namespace

int merge_ways(Cpu cpu, MmId mm, Slot from, Slot to) { return nth_merge(cpu, mm, from, to, -1).second; }

void merge(Cpu cpu, MmId mm, Slot from, Slot to, int way) {
  auto& vma = cpu.world().mm[mm].vma;
  const Merge merge = nth_merge(cpu, mm, from, to, way).first;
  if (merge.left) vma[from].head = 0;
  if (merge.right) vma[cpu.shape->after(to)].head = 0;
  const Slot first = vma_start(cpu, mm, from), last = vma_end(cpu, mm, to, cpu.shape->slots() - 1);
  VmaPage with = vma[first];  // dup_anon_vma
  for (Slot s = first; s <= last; ++s)
    if (vma[s].anon_vma) with = vma[s];
  for (Slot s = first; s <= last; ++s) {
    vma[s].anon_vma = with.anon_vma;
    vma[s].inherited = with.inherited;
  }
}

Slot vma_start(Cpu cpu, MmId mm, Slot slot) {
  const auto& vma = cpu.world().mm[mm].vma;
  while (!vma[slot].head && cpu.shape->before(slot) >= 0) --slot;
  return slot;
}

Slot vma_end(Cpu cpu, MmId mm, Slot slot, Slot to) {
  const auto& vma = cpu.world().mm[mm].vma;
  while (slot < to && vma[slot + 1].mapped() && !vma[slot + 1].head) ++slot;
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

int new_object(Cpu cpu, int pages) {
  World& w = cpu.world();
  for (int o = 0; o < max_objects; ++o) {
    if (w.object[o].mappings) continue;
    w.object[o].frame.fill(none);
    w.object[o].size = static_cast<std::uint8_t>(pages);
    return o;
  }
  cpu.breaks(Broken::tables_full);
  return max_objects - 1;
}

void prepare_anon_vma(Cpu cpu, MmId mm, Slot slot) {
  auto& vma = cpu.world().mm[mm].vma;
  if (vma[slot].anon_vma) return;
  // find_mergeable_anon_vma: takes the anon_vma of a neighbour that differs only in permissions.
  const Slot first = vma_start(cpu, mm, slot), last = vma_end(cpu, mm, slot, cpu.shape->slots() - 1);
  const auto reusable = [](const VmaPage& other, const VmaPage& a, const VmaPage& b) {  // anon_vma_compatible
    return other.anon_vma && !other.inherited && a.backing == b.backing && a.object == b.object && a.dontfork == b.dontfork &&
           a.wipeonfork == b.wipeonfork && a.hugepage == b.hugepage && a.growsdown == b.growsdown && a.account == b.account &&
           a.uffd_missing == b.uffd_missing && a.uffd_wp == b.uffd_wp && a.pgoff + 1 == b.pgoff;
  };
  const Slot left = cpu.shape->before(first), right = cpu.shape->after(last);
  std::uint8_t identity = 0;
  if (right >= 0 && reusable(vma[right], vma[last], vma[right])) identity = vma[right].anon_vma;
  else if (left >= 0 && reusable(vma[left], vma[left], vma[first])) identity = vma[left].anon_vma;
  const auto taken = [&vma](int id) {
    return std::any_of(vma.begin(), vma.end(), [id](const VmaPage& page) { return page.anon_vma == id; });
  };
  if (!identity) do
      ++identity;
    while (taken(identity));
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
