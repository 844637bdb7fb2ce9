// mm/vmscan.c, mm/rmap.c: pages that the kernel takes away, by itself or on request.
//
// Without swap the kernel takes only pages that MADV_FREE has given up. Pages of the page cache lose their
// entries, but not their contents. A machine with swap may take more, but no value shows it. What MADV_PAGEOUT
// does with swap is not modelled (harness/capabilities.h: swap).
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// Whether try_to_unmap_one can drop the page for good: MADV_FREE has given it up, and nobody holds it.
bool reclaimable(const World& world, MmId mm, Slot slot);
// Whether MADV_PAGEOUT can unmap the page: it is mapped only here, and is reclaimable or in the page cache.
bool can_page_out(const World& world, MmId mm, Slot slot);

// try_to_unmap, for a page that was mapped only there when it was isolated. It stays in the gather until
// try_to_unmap_flush.
Task<void> try_to_unmap(Cpu cpu, MmId mm, Slot slot, Gather* gather);

// What the kernel may do by itself at any time, or never: kswapd takes pages that MADV_FREE has given up, khugepaged makes
// huge pages. Runs beside programs that give them something to do.
Task<void> kernel_weather(Cpu cpu);

}  // namespace faultline::ref
