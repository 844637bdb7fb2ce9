// mm/khugepaged.c: MADV_COLLAPSE, and khugepaged itself. Whether a huge page can be allocated and may replace small ones
// depends on much that is not modelled. So a collapse may always fail. If it succeeds, the contents are in new pages.
#include "kernels_ref/mm/khugepaged.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/mmap.h"

namespace faultline::ref {

namespace {

struct Pages {
  int begin = 0, end = 0;
};

Pages pages_of(Cpu cpu, Slot from, Slot to) { return {cpu.shape->page(from), cpu.shape->page_behind(to)}; }

// transhuge_vma_suitable, for the last place in the VMA where a huge page could be.
bool suitable(Pages vma) {
  const int last = (vma.end - huge_pages) / huge_pages * huge_pages;
  return vma.end >= huge_pages && last >= vma.begin && last + huge_pages <= vma.end;
}

bool is_huge(const World& w, MmId mm, HugePage huge) {
  const auto& pte = w.mm[mm].pte;
  return std::all_of(&pte[huge.first], &pte[huge.last] + 1, [](const Pte& p) { return p.huge == 1; });
}

// hugepage_vma_revalidate, which expects anonymous memory that was written to.
bool revalidate(Cpu cpu, MmId mm, HugePage huge) {
  const VmaPage& vma = cpu.world().mm[mm].vma[huge.first];
  return pmd_fits(*cpu.shape, cpu.world(), mm, huge) && vma.backing == Backing::anon_private && vma.anon_vma;
}

// hpage_collapse_scan_pmd: whether nobody holds any of the pages.
bool unheld(const World& w, MmId mm, HugePage huge) {
  return std::all_of(&w.mm[mm].pte[huge.first], &w.mm[mm].pte[huge.last] + 1, [&w](const Pte& pte) {
    return pte.kind != Pte::Kind::page || (!folio_held(w, pte.frame) && !w.frame[pte.frame].locked);
  });
}

// __collapse_huge_page_isolate: checks again, when nobody can take another reference, and that no page is on a device.
bool can_isolate(const World& w, MmId mm, HugePage huge) {
  const VmaPage& vma = w.mm[mm].vma[huge.first];
  // It fills no page for which a fault would wait, and keeps pages small that userfaultfd protects.
  const bool fills = !vma.uffd_armed();
  return unheld(w, mm, huge) && std::all_of(&w.mm[mm].pte[huge.first], &w.mm[mm].pte[huge.last] + 1, [fills](const Pte& pte) {
           if (pte.kind == Pte::Kind::none || pte.kind == Pte::Kind::zero) return fills;
           return pte.kind == Pte::Kind::page && !pte.uffd_wp;
         });
}

// pmdp_collapse_flush: no entry and no TLB leads to the pages any more. Then, if nobody holds them,
// __collapse_huge_page_copy and the new entries. Returns whether it replaced them.
bool replace_pages(Cpu cpu, MmId mm, HugePage huge) {
  World& w = cpu.world();
  const bool checked_before = !cpu.on(Rule::collapse_flushes_first);
  const bool replaces = checked_before || can_isolate(w, mm, huge);
  const std::uint8_t folio = new_folio(cpu, {mm, huge.first});
  for (Slot s = huge.first; s <= huge.last; ++s) {
    const Pte old = w.mm[mm].pte[s];
    leave_stale(cpu, mm, s, old);
    if (!replaces) continue;
    const bool copies = old.frame != none && cpu.on(Rule::collapse_copies);
    const FrameId page = alloc_frame(cpu, Frame::Kind::anon, copies ? w.frame[old.frame].contents : Contents{}, {mm, s});
    w.frame[page].exclusive = 1;
    w.frame[page].folio = folio;
    Pte pte = page_pte(page, w.mm[mm].vma[s].write);
    pte.protnone = !w.mm[mm].vma[s].accessible();
    pte.huge = 1;
    set_pte(w, mm, s, pte);
  }
  if (cpu.on(Rule::collapse_flushes)) flush(w, mm, huge.first, huge.last);
  return replaces;
}

// hpage_collapse_scan_pmd, collapse_huge_page. The caller holds mmap_lock for read; this drops it and takes it again.
// Returns 0 or an errno.
Task<int> collapse_huge_page(Cpu cpu, MmId mm, HugePage huge) {
  World& w = cpu.world();
  if (!unheld(w, mm, huge)) co_return EAGAIN;       // SCAN_PAGE_COUNT
  for (Slot s = huge.first; s <= huge.last; ++s) {  // __collapse_huge_page_swapin
    const Pte::Kind kind = w.mm[mm].pte[s].kind;
    if (kind != Pte::Kind::device && kind != Pte::Kind::exclusive) continue;
    co_await handle_mm_fault(cpu, mm, s, false, true);
  }
  read_unlock(w, mm);
  co_await write_lock(cpu, mm);
  int error = EINVAL;
  if (is_huge(w, mm, huge)) {
    error = 0;  // another thread has collapsed it meanwhile
  } else if (revalidate(cpu, mm, huge)) {
    error = EAGAIN;
    const bool checked_before = !cpu.on(Rule::collapse_flushes_first);
    if (!checked_before || can_isolate(w, mm, huge)) {
      co_await write_lock_vmas(cpu, mm, huge.first, huge.last);
      if (cpu.on(Rule::collapse_notifies)) co_await invalidate_start(cpu, mm, huge.first, huge.last, Notify::clear);
      co_await cpu.step("collapse_huge_page: pmdp_collapse_flush");
      if (replace_pages(cpu, mm, huge)) error = 0;
      if (cpu.on(Rule::collapse_notifies)) co_await invalidate_end(cpu, mm);
    }
  }
  write_unlock(w, mm);
  co_await read_lock(cpu, mm);
  co_return error;
}

// collapse_file, if the page cache has no huge page yet: it gets one. Pages that were not there become zeroes, also beyond
// the end of the file. Every mapping of the old pages is removed. Returns 0 or an errno.
int collapse_cache(Cpu cpu, MmId mm, HugePage huge) {
  World& w = cpu.world();
  for (Slot s = huge.first; s <= huge.last; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    const FrameId cached = w.object[vma.object].frame[vma.pgoff];
    if (cached != none && (folio_held(w, cached) || w.frame[cached].locked)) return EAGAIN;
  }
  const std::uint8_t folio = new_folio(cpu, {mm, huge.first});
  for (Slot s = huge.first; s <= huge.last; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    std::uint8_t& cached = w.object[vma.object].frame[vma.pgoff];
    if (cached == none) {
      cached = static_cast<std::uint8_t>(alloc_frame(cpu, Frame::Kind::shared, {}, {mm, s}));
      get_ref(w, cached);
    }
    unmap_everywhere(cpu, cached);
    w.frame[cached].folio = folio;
    w.frame[cached].dropped = 0;
  }
  return 0;
}

// When collapse_file gives up, the pages that it has reached are no longer mapped.
Task<void> collapse_file_fails(Cpu cpu, MmId mm, HugePage huge) {
  World& w = cpu.world();
  const int unmapped = co_await cpu.choose("collapse_file: try_to_unmap", 2 + huge.last - huge.first);
  for (Slot s = huge.first; s < huge.first + unmapped; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    if (vma.object == none) co_return;
    const FrameId cached = w.object[vma.object].frame[vma.pgoff];
    if (cached != none && !w.frame[cached].locked) unmap_everywhere(cpu, cached);
  }
}

// collapse_pte_mapped_thp: maps the huge page by a PMD in the process that asked. Fails if it has private copies there.
Task<int> install_pmd(Cpu cpu, MmId mm, HugePage huge) {
  World& w = cpu.world();
  const int fails = co_await cpu.choose("collapse_pte_mapped_thp", 2);
  if (fails || !pmd_fits(*cpu.shape, cpu.world(), mm, huge) || w.mm[mm].vma[huge.first].object == none ||
      !caches_huge(w, mm, huge))
    co_return EINVAL;
  for (Slot s = huge.first; s <= huge.last; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    const std::uint8_t frame = w.mm[mm].pte[s].frame;
    if (frame != none && frame != w.object[vma.object].frame[vma.pgoff]) co_return EINVAL;
  }
  if (!pmd_none(w, mm, huge)) invalidate_now(cpu, mm, huge.first, huge.last);
  const VmaPage& vma = w.mm[mm].vma[huge.first];
  map_huge_page(cpu, mm, huge, vma.write && !vma.is_private() && !cpu.shape->tracks_dirty[vma.object]);
  flush(w, mm, huge.first, huge.last);
  co_return 0;
}

// One huge page of madvise_collapse(). Returns 0 or an errno.
Task<int> collapse(Cpu cpu, MmId mm, HugePage huge) {
  World& w = cpu.world();
  if (is_huge(w, mm, huge)) co_return 0;  // SCAN_PMD_MAPPED
  constexpr int errors[] = {EINVAL, EAGAIN, ENOMEM, EBUSY};
  const int way = co_await cpu.choose("hpage_collapse_scan_pmd", 1 + std::size(errors));
  if (!pmd_fits(*cpu.shape, cpu.world(), mm, huge)) co_return EINVAL;
  if (way > 0) {
    if (w.mm[mm].vma[huge.first].object != none) co_await collapse_file_fails(cpu, mm, huge);
    co_return errors[way - 1];
  }
  if (w.mm[mm].vma[huge.first].object == none) co_return co_await collapse_huge_page(cpu, mm, huge);
  int error = 0;
  if (!caches_huge(w, mm, huge)) error = collapse_cache(cpu, mm, huge);
  read_unlock(w, mm);  // before it looks at the page cache
  co_await read_lock(cpu, mm);
  if (!error) error = co_await install_pmd(cpu, mm, huge);
  co_return error;
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
    const Pages asked = pages_of(cpu, s, last);
    const int begin = (asked.begin + huge_pages - 1) / huge_pages * huge_pages, end = asked.end / huge_pages * huge_pages;
    const Slot vma_last = vma_end(cpu, mm, s, cpu.shape->slots() - 1);
    int error = suitable(pages_of(cpu, vma_start(cpu, mm, s), vma_last)) ? 0 : EINVAL;
    // __thp_vma_allowable_orders: refuses memory that nobody has written to. For files it depends on the configuration.
    const VmaPage& vma = w.mm[mm].vma[s];
    if (vma.object == none && !vma.anon_vma) error = EINVAL;
    if (!error && vma.object != none) {
      const int allowed = co_await cpu.choose("shmem_is_huge, file_thp_enabled", 2);
      if (!allowed) error = EINVAL;
    }
    const bool refused = error != 0;
    // The range holds no whole huge page. Newer kernels check that first, and return 0.
    if (!error && begin > end) {
      const int looks_first = co_await cpu.choose("madvise_collapse: hstart >= hend", 2);
      if (!looks_first) error = EINVAL;
    }
    for (Slot at = s; at <= last && !refused; at = huge_page_of(*cpu.shape, at).last + 1) {
      const HugePage huge = huge_page_of(*cpu.shape, at);
      if (cpu.shape->page(huge.first) < begin || cpu.shape->page_behind(huge.last) > end) continue;
      if (error) {  // after some errors it goes on with the next one
        const int goes_on = co_await cpu.choose("madvise_collapse: next", 2);
        if (!goes_on) break;
      }
      const int own = co_await collapse(cpu, mm, huge);
      if (own) error = own;
    }
    if (error) {
      result = failed(error);
      break;
    }
    s = last + 1;
  }
  read_unlock(w, mm);
  co_return result;
}

bool can_khugepaged(Cpu cpu, MmId mm, Slot slot) {
  const World& w = cpu.world();
  const Mm& m = w.mm[mm];
  const HugePage huge = huge_page_of(*cpu.shape, slot);
  // A process that is not alive yet: fork() still holds the lock of its mm.
  if (w.process[mm].life != ProcessState::Life::alive || m.users == 0 || !can_write_lock(w, mm)) return false;
  if (huge.first != slot || !m.vma[slot].hugepage || is_huge(w, mm, huge)) return false;
  const bool any = std::any_of(&m.pte[huge.first], &m.pte[huge.last] + 1, [](const Pte& p) { return p.kind == Pte::Kind::page; });
  return any && revalidate(cpu, mm, huge) && can_start_write(w, mm, huge.first, huge.last) && can_isolate(w, mm, huge);
}

void khugepaged_scan(Cpu cpu, MmId mm, Slot slot) {
  const HugePage huge = huge_page_of(*cpu.shape, slot);
  if (cpu.on(Rule::collapse_notifies)) invalidate_now(cpu, mm, huge.first, huge.last);
  replace_pages(cpu, mm, huge);
}

}  // namespace faultline::ref
