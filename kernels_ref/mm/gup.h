// mm/gup.c: how somebody else comes to hold the page behind an address.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

struct GupFlags {
  bool write = false;  // FOLL_WRITE
  bool pins = false;   // FOLL_PIN, which fork() knows of; else FOLL_GET, which it does not
};

// pin_user_pages_fast, or get_user_pages_fast, of one page of this thread's process. Gives an errno, or `page`: a
// frame that is held, or zero_page (not where it is for writing), which nobody needs to hold.
Task<int> gup(Cpu cpu, MmId mm, Slot slot, GupFlags flags, std::uint8_t* page);

// In a hole, under mmap_lock: whether find_extend_vma, with which GUP looked up the VMA before Linux 6.5 (and 6.1.37),
// extends a stack; gup_vma_lookup does not. A kernel does the one or the other.
Task<void> gup_expand_stack(Cpu cpu, MmId mm, Slot slot);

// unpin_user_page, of a frame; `page` is none then.
void unpin_page(World& world, std::uint8_t& page);

}  // namespace faultline::ref
