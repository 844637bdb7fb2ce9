// mm/khugepaged.c: small pages become a huge one, on request or on their own.
#pragma once

#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

Task<Result> madvise_collapse(Cpu cpu, Slot from, Slot to);

// Whether khugepaged could make a huge page that begins at `slot` now, and that it does so, in one step: it has mmap_lock for
// write meanwhile.
bool can_khugepaged(Cpu cpu, MmId mm, Slot slot);
void khugepaged_scan(Cpu cpu, MmId mm, Slot slot);

}  // namespace faultline::ref
