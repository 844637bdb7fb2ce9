// Mappings that grow down (VM_GROWSDOWN), as the stack of a process does: an access below one extends it.
#pragma once

#include "kernels_ref/mm/pages.h"

namespace faultline::ref {

// find_vma for a `slot` that is not mapped: the first page of the stack that would be extended down to it, or -1.
Slot stack_above(const Shape& shape, const World& world, MmId mm, Slot slot);
// acct_stack_growth: whether the stack would then still be within RLIMIT_STACK.
bool fits_stack(const Shape& shape, const World& world, MmId mm, Slot stack, Slot slot);
// expand_stack. False: `slot` is still not mapped. No notifier is called, because nothing is unmapped.
bool expand_stack(Cpu cpu, MmId mm, Slot slot);

}  // namespace faultline::ref
