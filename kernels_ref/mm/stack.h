// Mappings that grow down (VM_GROWSDOWN), as the stack of a process does: an access below one extends it.
#pragma once

#include "kernels_ref/mm/pages.h"

namespace faultline::ref {

// find_vma where nothing is mapped: the first page of the stack that would be extended down to `slot`, or -1.
Slot stack_above(const Shape& shape, const World& world, MmId mm, Slot slot);
// acct_stack_growth: whether it is within RLIMIT_STACK then.
bool fits_stack(const Shape& shape, const World& world, MmId mm, Slot stack, Slot slot);
// expand_stack. False: nothing is mapped there. No notifier hears of it, for nothing is unmapped.
bool expand_stack(Cpu cpu, MmId mm, Slot slot);

}  // namespace faultline::ref
