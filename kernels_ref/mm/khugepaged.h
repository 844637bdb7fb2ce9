// mm/khugepaged.c: replaces small pages by a huge one, on request (MADV_COLLAPSE) or by itself (khugepaged).
#pragma once

#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

Task<Result> madvise_collapse(Cpu cpu, Slot from, Slot to);

// Whether khugepaged could now make a huge page that begins at `slot`.
bool can_khugepaged(Cpu cpu, MmId mm, Slot slot);
// khugepaged makes it, in one step, because it holds mmap_lock for write meanwhile.
void khugepaged_scan(Cpu cpu, MmId mm, Slot slot);

}  // namespace faultline::ref
