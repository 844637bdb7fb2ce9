#include "kernels_ref/mm/huge_memory.h"

#include <algorithm>

namespace faultline::ref {

HugePage huge_page_of(const Shape& shape, Slot slot) {
  const auto number = [&shape](Slot s) { return shape.page(s) / huge_pages; };
  HugePage huge{slot, slot};
  for (Slot s = shape.before(slot); s >= 0 && number(s) == number(slot); s = shape.before(s)) huge.first = s;
  for (Slot s = shape.after(slot); s >= 0 && number(s) == number(slot); s = shape.after(s)) huge.last = s;
  return huge;
}

bool pmd_fits(const Shape& shape, const World& world, MmId mm, HugePage huge) {
  if (shape.page(huge.first) % huge_pages != 0 || shape.page_behind(huge.last) % huge_pages != 0) return false;
  const auto& vma = world.mm[mm].vma;
  for (Slot s = huge.first; s <= huge.last; ++s)
    if (!vma[s].mapped() || (s > huge.first && vma[s].head)) return false;
  return true;
}

bool pmd_none(const World& world, MmId mm, HugePage huge) {
  const auto& pte = world.mm[mm].pte;
  return std::all_of(&pte[huge.first], &pte[huge.last] + 1, [](const Pte& p) { return p.kind == Pte::Kind::none; });
}

namespace {

template <typename Holds>
bool some_of_folio(const World& world, FrameId page, Holds holds) {
  const Frame& own = world.frame[page];
  if (!own.folio) return holds(own);
  return std::ranges::any_of(world.frame, [&](const Frame& f) { return f.folio == own.folio && holds(f); });
}

}  // namespace

bool folio_held(const World& world, FrameId page) {
  return some_of_folio(world, page, [](const Frame& f) { return f.pins > 0 || f.refs > (f.kind == Frame::Kind::shared); });
}

bool folio_pinned(const World& world, FrameId page) {
  return some_of_folio(world, page, [](const Frame& f) { return f.pins > 0; });
}

bool folio_lingering(const World& world, FrameId page) {
  return some_of_folio(world, page, [](const Frame& f) { return f.lingering & 1; });
}

void split_huge_pmd(Cpu cpu, MmId mm, Slot slot) {
  World& w = cpu.world();
  if (!w.mm[mm].pte[slot].huge) return;
  const HugePage huge = huge_page_of(*cpu.shape, slot);
  invalidate_now(cpu, mm, huge.first, huge.last);
  for (Slot s = huge.first; s <= huge.last; ++s) {
    Pte& pte = w.mm[mm].pte[s];
    pte.huge = 0;
    if (pte.frame != none && w.frame[pte.frame].kind == Frame::Kind::shared) set_pte(w, mm, s, {});
  }
  flush(w, mm, huge.first, huge.last);
}

void split_huge_page(Cpu cpu, FrameId page) {
  World& w = cpu.world();
  const std::uint8_t folio = w.frame[page].folio;
  if (!folio) return;
  for (MmId mm = 0; mm < max_mms; ++mm)
    for (Slot s = 0; s < cpu.shape->slots(); ++s) {
      const Pte& pte = w.mm[mm].pte[s];
      if (pte.huge && pte.frame != none && w.frame[pte.frame].folio == folio) split_huge_pmd(cpu, mm, s);
    }
  for (Frame& f : w.frame)
    if (f.folio == folio) f.folio = 0;
}

void split_huge_pmd_at(Cpu cpu, MmId mm, Slot from, Slot to) {
  if (!cpu.shape->huge_pages) return;
  if (huge_page_of(*cpu.shape, from).first != from) split_huge_pmd(cpu, mm, from);
  if (huge_page_of(*cpu.shape, to).last != to) split_huge_pmd(cpu, mm, to);
}

namespace {

// Maps a folio of zeroes at [from, to], by a PMD or by one entry for each page.
void map_anon_folio(Cpu cpu, MmId mm, Slot from, Slot to, bool by_pmd) {
  World& w = cpu.world();
  const std::uint8_t folio = new_folio(cpu, {mm, from});
  for (Slot s = from; s <= to; ++s) {
    const FrameId page = alloc_frame(cpu, Frame::Kind::anon, {}, {mm, s});
    w.frame[page].exclusive = 1;
    w.frame[page].folio = folio;
    Pte pte = page_pte(page, w.mm[mm].vma[s].write);
    pte.huge = by_pmd;
    set_pte(w, mm, s, pte);
  }
}

// The spans that a folio of `order` around the page would map: those that lie wholly in it. Empty if the folio does not fit.
HugePage folio_around(Cpu cpu, MmId mm, Slot slot, int order) {
  const Shape& shape = *cpu.shape;
  const auto& m = cpu.world().mm[mm];
  const int begin = shape.page(slot) >> order << order, end = begin + (1 << order);
  HugePage in{slot, slot - 1};
  Slot first = slot, last = slot;  // spans that the folio touches
  while (shape.before(first) >= 0 && shape.page(first) > begin) --first;
  while (shape.after(last) >= 0 && shape.page_behind(last) < end) ++last;
  if (shape.page(first) > begin || shape.page_behind(last) < end) return in;
  for (Slot s = first; s <= last; ++s) {
    const bool cut = s > first && m.vma[s].head;
    if (!m.vma[s].mapped() || cut || m.pte[s].kind != Pte::Kind::none) return in;
  }
  in = {first, last};
  if (shape.page(first) < begin) ++in.first;
  if (shape.page_behind(last) > end) --in.last;
  return in;
}

// What a fault may do. `nothing`: go on with a small page. `zeroes`: the same after anon_vma_prepare. The others map `pages`.
struct Brought {
  enum class How { nothing, zeroes, huge_zeroes, huge_page, folio };
  How how = How::nothing;
  HugePage pages;
};

// The `way`-th thing that a fault may do; way 0 is `nothing`. With way -1, `*ways` is how many there are.
Brought nth_brought(Cpu cpu, MmId mm, Slot slot, bool write, int way, int* ways) {
  using How = Brought::How;
  *ways = 1;
  const auto counts = [&] { return (*ways)++ == way; };
  const HugePage huge = huge_page_of(*cpu.shape, slot);
  if (pmd_fits(*cpu.shape, cpu.world(), mm, huge) && pmd_none(cpu.world(), mm, huge)) {
    if (!write && counts()) return {How::zeroes, {}};
    if (!write && counts()) return {How::huge_zeroes, huge};
    if (counts()) return {How::huge_page, huge};
  }
  HugePage before{slot, slot};
  for (int order = 2; write && 1 << order < huge_pages; ++order) {
    const HugePage in = folio_around(cpu, mm, slot, order);
    const bool more = in.last >= in.first && (in.first < before.first || in.last > before.last);
    if (!more) continue;
    before = in;
    if (counts()) return {How::folio, in};
  }
  return {};
}

}  // namespace

Task<bool> huge_anonymous_fault(Cpu cpu, MmId mm, Slot slot, bool write) {
  World& w = cpu.world();
  if (!cpu.shape->huge_pages || !w.mm[mm].vma[slot].hugepage) co_return false;
  const int way = co_await cpu.until("do_huge_pmd_anonymous_page", [cpu, mm, slot, write] {
    int ways = 0;
    nth_brought(cpu, mm, slot, write, -1, &ways);
    return ways;
  });
  if (w.mm[mm].pte[slot].kind != Pte::Kind::none) co_return true;
  int ways = 0;
  const Brought brought = nth_brought(cpu, mm, slot, write, way, &ways);
  if (brought.how == Brought::How::nothing) co_return false;
  prepare_anon_vma(cpu, mm, slot);
  const auto [first, last] = brought.pages;
  switch (brought.how) {
    case Brought::How::nothing:
    case Brought::How::zeroes: co_return false;
    case Brought::How::huge_zeroes:
      for (Slot s = first; s <= last; ++s) set_pte(w, mm, s, {.kind = Pte::Kind::zero, .huge = 1});
      break;
    case Brought::How::huge_page: map_anon_folio(cpu, mm, first, last, true); break;
    case Brought::How::folio: map_anon_folio(cpu, mm, first, last, false); break;
  }
  co_return true;
}

namespace {

// do_huge_zero_wp_pmd (6.13): replaces the huge zero page by a new huge page of zeroes.
Task<void> replace_huge_zeroes(Cpu cpu, MmId mm, Slot slot) {
  World& w = cpu.world();
  const auto [first, last] = huge_page_of(*cpu.shape, slot);
  co_await invalidate_start(cpu, mm, first, last, Notify::clear);
  co_await cpu.step("do_huge_zero_wp_pmd");
  const Pte& pte = w.mm[mm].pte[slot];
  if (pte.kind == Pte::Kind::zero && pte.huge) {
    map_anon_folio(cpu, mm, first, last, true);
    flush(w, mm, first, last);
  }
  co_await invalidate_end(cpu, mm);
}

}  // namespace

Task<bool> huge_write_protected(Cpu cpu, MmId mm, Slot slot, bool unshare) {
  World& w = cpu.world();
  const Pte old = w.mm[mm].pte[slot];
  const HugePage huge = huge_page_of(*cpu.shape, slot);
  enum { splits, reuses };
  const auto exclusive = [&w, mm](Slot s) { return w.frame[w.mm[mm].pte[s].frame].exclusive == 1; };
  const auto sole = [&w, mm](Slot s) {
    const FrameId page = w.mm[mm].pte[s].frame;
    return w.frame[page].mapcount == 1 && !folio_held(w, page);
  };
  if (old.kind == Pte::Kind::zero) {
    const int replaces = co_await cpu.choose("do_huge_pmd_wp_page: huge zero page", 2);
    if (w.mm[mm].pte[slot] != old) co_return true;
    if (replaces) {
      co_await replace_huge_zeroes(cpu, mm, slot);
      co_return true;
    }
    split_huge_pmd(cpu, mm, slot);
    co_return false;
  }
  if (w.frame[old.frame].kind != Frame::Kind::anon) {  // of a file: handled page by page
    split_huge_pmd(cpu, mm, slot);
    co_return false;
  }
  int way = exclusive(slot) ? reuses : splits;
  if (way == splits) {
    bool all = true;
    for (Slot s = huge.first; s <= huge.last; ++s) all = all && sole(s);
    if (all) way = co_await cpu.choose("do_huge_pmd_wp_page: reuse or split", 2);
    if (w.mm[mm].pte[slot] != old) co_return true;
    for (Slot s = huge.first; s <= huge.last && way == reuses; ++s)
      if (!sole(s)) way = splits;
  }
  if (way == splits) {
    split_huge_pmd(cpu, mm, slot);
    co_return false;
  }
  for (Slot s = huge.first; s <= huge.last; ++s) {
    Pte& pte = w.mm[mm].pte[s];
    w.frame[pte.frame].exclusive = 1;
    if (!unshare) pte.writable = pte.writable || w.mm[mm].vma[s].write;
  }
  co_return true;
}

}  // namespace faultline::ref
