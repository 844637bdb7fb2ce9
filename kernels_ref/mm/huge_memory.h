// mm/huge_memory.c: huge pages that one entry of a page middle directory (PMD) maps, and large folios that many entries map.
//
// A span lies in one huge page or is some whole ones (harness/spans.h). Pte::huge says that a PMD maps it; then one maps all
// spans of its huge page. Frame::folio says which pages are one folio: they are pinned, split and given back together.
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// The spans of one huge page, or of a span that is some.
struct HugePage {
  Slot first = 0, last = -1;
};
HugePage huge_page_of(const Shape& shape, Slot slot);

// Whether a PMD could map it: all of it is there and in one VMA (thp_vma_suitable_order).
bool pmd_fits(const Shape& shape, const World& world, MmId mm, HugePage huge);
// ... and nothing of it is mapped: there may be no page table yet (pmd_none).
bool pmd_none(const World& world, MmId mm, HugePage huge);

// Whether somebody holds the page or another one of its folio: references or pins, beside those of the page cache.
bool folio_held(const World& world, FrameId page);
// The most that is true of some page of its folio.
bool folio_pinned(const World& world, FrameId page);
bool folio_lingering(const World& world, FrameId page);

// __split_huge_pmd: entries of its pages map them, or none does where they are of a file. Nothing where no PMD maps it.
void split_huge_pmd(Cpu cpu, MmId mm, Slot slot);
// split_huge_page_to_list, where it succeeds: the pages of the folio are pages of their own, and no PMD maps them.
void split_huge_page(Cpu cpu, FrameId page);
// At both ends of what is worked on: a part of a huge page is not.
void split_huge_pmd_at(Cpu cpu, MmId mm, Slot from, Slot to);

// do_huge_pmd_anonymous_page, and alloc_anon_folio (6.8) for smaller folios. Whether the page is there now: else the kernel
// goes on with a small one.
Task<bool> huge_anonymous_fault(Cpu cpu, MmId mm, Slot slot, bool write);

// do_huge_pmd_wp_page, or with `unshare` the same for a pin of who reads. Whether that was all; else the PMD has been split,
// or the entry has changed, and the page's own entry is next.
Task<bool> huge_write_protected(Cpu cpu, MmId mm, Slot slot, bool unshare);

}  // namespace faultline::ref
