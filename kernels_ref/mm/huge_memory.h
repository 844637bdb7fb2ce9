// mm/huge_memory.c: huge pages that one entry of a page middle directory (PMD) maps, and large folios that many entries map.
//
// A span lies inside one huge page, or consists of whole huge pages (harness/spans.h). Pte::huge says that a PMD maps the
// span; then PMDs map all spans of that huge page. Pages with the same Frame::folio are one folio: they are pinned, split and
// freed together.
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// The spans of one huge page; or a single span that consists of whole huge pages.
struct HugePage {
  Slot first = 0, last = -1;
};
HugePage huge_page_of(const Shape& shape, Slot slot);

// Whether a PMD could map it: one VMA holds all of it (thp_vma_suitable_order).
bool pmd_fits(const Shape& shape, const World& world, MmId mm, HugePage huge);
// Whether none of its pages is mapped, so that there may be no page table yet (pmd_none).
bool pmd_none(const World& world, MmId mm, HugePage huge);

// Whether somebody holds the page or another page of its folio, by a reference or a pin. The page cache does not count.
bool folio_held(const World& world, FrameId page);
// Whether some page of its folio is pinned; or may still have a lingering pin (Frame::lingering).
bool folio_pinned(const World& world, FrameId page);
bool folio_lingering(const World& world, FrameId page);

// __split_huge_pmd: replaces the PMD by entries for its pages; pages of a file are unmapped. Does nothing if no PMD maps
// `slot`.
void split_huge_pmd(Cpu cpu, MmId mm, Slot slot);
// split_huge_page_to_list when it succeeds: the folio becomes single pages, and no PMD maps them.
void split_huge_page(Cpu cpu, FrameId page);
// Splits the PMD at either end of [from, to], if the range covers only part of that huge page.
void split_huge_pmd_at(Cpu cpu, MmId mm, Slot from, Slot to);

// do_huge_pmd_anonymous_page, and alloc_anon_folio (6.8) for smaller folios. Returns whether the page is there now; if not,
// the kernel goes on with a small page.
Task<bool> huge_anonymous_fault(Cpu cpu, MmId mm, Slot slot, bool write);

// do_huge_pmd_wp_page; with `unshare`, the same for a pin that only reads. True: the fault is over, or the entry has changed
// meanwhile. False: the PMD has been split, and the page's own entry is next.
Task<bool> huge_write_protected(Cpu cpu, MmId mm, Slot slot, bool unshare);

}  // namespace faultline::ref
