// mm/khugepaged.c: MADV_COLLAPSE. Whether a huge page can be had and may replace small ones depends on much
// that is not modelled, so that it may always fail; where it does not, contents stay and pages are others.
#include <cerrno>
#include <iterator>

#include "kernels_ref/fault.h"
#include "kernels_ref/mmap.h"

namespace faultline::ref {

namespace {

constexpr int huge = 512;  // HPAGE_PMD_NR

struct PageSpan {
  int begin = 0, end = 0;
};

PageSpan pages_of(Cpu cpu, Slot from, Slot to) {
  return {cpu.shape->page(from), cpu.shape->page_behind(to)};
}

// transhuge_vma_suitable, for the last place in the VMA where a huge page could be.
bool suitable(PageSpan vma) {
  const int last = (vma.end - huge) / huge * huge;
  return vma.end >= huge && last >= vma.begin && last + huge <= vma.end;
}

// __collapse_huge_page_isolate: whether every entry is of a page that can be copied.
bool can_isolate(const World& w, MmId mm, Slot from, Slot to) {
  for (Slot s = from; s <= to; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    const Pte& pte = w.mm[mm].pte[s];
    if (vma.backing != Backing::anon_private || !vma.anon_vma || (s > from && vma.head)) return false;
    if (pte.kind == Pte::Kind::none || pte.kind == Pte::Kind::zero) continue;
    if (pte.kind != Pte::Kind::page) return false;
    const Frame& page = w.frame[pte.frame];
    if (page.refs || page.pins || page.locked) return false;
  }
  return true;
}

// __collapse_huge_page_copy, and the new entries. mmap_lock and the VMA's lock keep everybody away meanwhile.
void replace_pages(Cpu cpu, MmId mm, Slot from, Slot to) {
  World& w = cpu.world();
  for (Slot s = from; s <= to; ++s) {
    const Pte old = w.mm[mm].pte[s];
    const bool copies = old.frame != none && cpu.on(Rule::collapse_copies);
    const Contents contents = copies ? w.frame[old.frame].contents : Contents{};
    const FrameId page = alloc_frame(cpu, Frame::Kind::anon, contents);
    w.frame[page].exclusive = w.frame[page].huge = 1;
    Pte pte = page_pte(page, w.mm[mm].vma[s].write);
    pte.protnone = !w.mm[mm].vma[s].accessible();
    set_pte(w, mm, s, pte);
  }
  flush(w, mm, from, to);
}

// collapse_huge_page. The caller holds mmap_lock for read, and has it again. False: nothing has changed.
Task<bool> collapse_huge_page(Cpu cpu, MmId mm, Slot from, Slot to) {
  World& w = cpu.world();
  for (Slot s = from; s <= to; ++s) {  // __collapse_huge_page_swapin
    const Pte::Kind kind = w.mm[mm].pte[s].kind;
    if (kind != Pte::Kind::device && kind != Pte::Kind::exclusive) continue;
    co_await handle_mm_fault(cpu, mm, s, false, true);
  }
  read_unlock(w, mm);
  co_await write_lock(cpu, mm);
  const bool valid = can_isolate(w, mm, from, to);
  if (valid) {
    co_await write_lock_vmas(cpu, mm, from, to);
    if (cpu.on(Rule::collapse_notifies)) co_await invalidate_start(cpu, mm, from, to, Event::clear);
    co_await cpu.step("collapse_huge_page: pmdp_collapse_flush");
    replace_pages(cpu, mm, from, to);
    if (cpu.on(Rule::collapse_notifies)) co_await invalidate_end(cpu, mm);
  }
  write_unlock(w, mm);
  co_await read_lock(cpu, mm);
  co_return valid;
}

// collapse_file: the page cache gets a huge page, with what was there and zeroes. Who maps it is told or not.
Task<void> collapse_file(Cpu cpu, MmId mm, Slot from, Slot to) {
  World& w = cpu.world();
  const int retracts = co_await cpu.choose("collapse_file: retract_page_tables", 2);
  for (Slot s = from; s <= to; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    std::uint8_t& cached = w.object[vma.object].frame[vma.pgoff];
    if (cached == none) {
      cached = static_cast<std::uint8_t>(alloc_frame(cpu, Frame::Kind::shared, {}));
      get_ref(w, cached);
    }
    for (MmId m = 0; m < max_mms && retracts; ++m)
      for (Slot p = 0; p < cpu.shape->slots(); ++p) {
        if (w.mm[m].pte[p].frame != cached) continue;
        invalidate_now(cpu, m, p);
        set_pte(w, m, p, {});
        flush(w, m, p, p);
      }
  }
}

}  // namespace

Task<Result> madvise_collapse(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  Result result = ok();
  for (Slot s = from; s <= to;) {
    if (!w.mm[mm].vma[s].mapped()) {
      result = failed(ENOMEM);
      ++s;
      continue;
    }
    const Slot last = vma_end(cpu, mm, s, to);
    const PageSpan asked = pages_of(cpu, s, last);
    const int begin = (asked.begin + huge - 1) / huge * huge, end = asked.end / huge * huge;
    const Slot vma_last = vma_end(cpu, mm, s, cpu.shape->slots() - 1);
    const bool fits = suitable(pages_of(cpu, vma_start(cpu, mm, s), vma_last)) && begin <= end;
    Result piece = fits ? ok() : failed(EINVAL);
    const int region = cpu.shape->spans.first(s).region;
    for (int block = begin; block < end && piece.kind == Result::Kind::ok; block += huge) {
      const Slot first = cpu.shape->spans.of(Cell{region, block});
      const Slot behind = cpu.shape->spans.of(Cell{region, block + huge - 1});
      constexpr int errors[] = {EINVAL, EAGAIN, ENOMEM};
      const int way = co_await cpu.choose("hpage_collapse_scan_pmd", 1 + std::size(errors));
      if (way > 0) piece = failed(errors[way - 1]);
      else if (w.mm[mm].vma[s].object != none) co_await collapse_file(cpu, mm, first, behind);
      else if (!co_await collapse_huge_page(cpu, mm, first, behind)) piece = failed(EAGAIN);
    }
    if (piece.kind != Result::Kind::ok) {
      result = piece;
      break;
    }
    s = last + 1;
  }
  read_unlock(w, mm);
  co_return result;
}

}  // namespace faultline::ref
