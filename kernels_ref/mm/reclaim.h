// mm/vmscan.c, mm/rmap.c: pages that the kernel takes away, by itself or because it was asked to.
//
// Without swap that is what MADV_FREE has given up; pages of the page cache lose their entries and stay. A
// machine with swap may take more, where no value shows it; what MADV_PAGEOUT does there is not modelled (harness/capabilities.h: swap).
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// Whether try_to_unmap_one takes the page from this mapping for good ...
bool reclaimable(const World& world, MmId mm, Slot slot);
// ... or MADV_PAGEOUT makes it unmap a page of the page cache.
bool can_page_out(const World& world, MmId mm, Slot slot);

// try_to_unmap, for a page that was mapped only there when it was isolated. It stays in the gather until
// try_to_unmap_flush.
Task<void> try_to_unmap(Cpu cpu, MmId mm, Slot slot, Gather* gather);

// What the kernel may do by itself at any time, and need not: kswapd takes what MADV_FREE has given up, khugepaged makes
// huge pages. Runs beside a program for which there is something to do.
Task<void> kernel_weather(Cpu cpu);

}  // namespace faultline::ref
