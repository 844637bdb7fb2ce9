// A device that goes through long-term pins: io_uring with fixed buffers (io_uring/rsrc.c), each page a
// buffer of its own. It knows no page tables and hears of no notifier: what it has is the page that
// pin_user_pages_fast gave it, until it lets go. A mirroring device's file has such pins beside it.
#pragma once

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// IORING_REGISTER_BUFFERS, or vmsplice() into a pipe where the device only `reads`, and the end of it, page
// by page. A pin that fails takes back what the same request had pinned before.
Task<Result> pinned_pin(Cpu cpu, MirrorId opener, Slot from, Slot to, bool reads);
Task<Result> pinned_unpin(Cpu cpu, MirrorId opener, Slot from, Slot to);

// io_ring_exit_work, some time after the last descriptor is gone: its pins may be there for a while.
void leave_pins(World& world, MirrorId opener);

}  // namespace faultline::ref
