// mm/gup.c: how a device or a system call takes the page behind an address and holds it.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

struct GupFlags {
  bool write = false;  // FOLL_WRITE
  bool pins = false;   // FOLL_PIN, which fork() respects; otherwise FOLL_GET, which fork() does not see
  bool waits = true;   // FOLL_UNLOCKABLE: it may drop mmap_lock and wait for a userfault
};

// pin_user_pages_fast or get_user_pages_fast for one page of this thread's process. Returns 0 or an errno. With 0, `page`
// is the held frame; or, unless it is for writing, zero_page, which nobody needs to hold.
Task<int> gup(Cpu cpu, MmId mm, Slot slot, GupFlags flags, std::uint8_t* page);

// GUP under mmap_lock has found a hole. Before Linux 6.5 (and 6.1.37) it looked up the VMA by find_extend_vma, which
// extends a stack. gup_vma_lookup does not. A kernel does one or the other, always.
Task<void> gup_expand_stack(Cpu cpu, MmId mm, Slot slot);

// unpin_user_page for the frame in `page`. Sets `page` to none.
void unpin_page(World& world, std::uint8_t& page);

}  // namespace faultline::ref
