// A device that uses long-term pins: io_uring with fixed buffers (io_uring/rsrc.c). Each page is a buffer of
// its own. The device has no page table and no notifier. It uses the page that pin_user_pages_fast gave it,
// until it unpins that page. The open file of a mirroring device can have such pins too.
#pragma once

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// IORING_REGISTER_BUFFERS; or vmsplice() into a pipe, if the device only `reads`. If one page cannot be pinned,
// no page of the request stays pinned.
Task<Result> pinned_pin(Cpu cpu, MirrorId opener, Slot from, Slot to, bool reads);
// Ends that, page by page.
Task<Result> pinned_unpin(Cpu cpu, MirrorId opener, Slot from, Slot to);

// io_ring_exit_work runs some time after the last descriptor is gone. Until then the pins may still be there.
void leave_pins(World& world, MirrorId opener);

}  // namespace faultline::ref
