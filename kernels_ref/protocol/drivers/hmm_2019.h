// mm/hmm.c and include/linux/hmm.h of July 2019 (5.3-rc1): hmm_mirror, and ranges with a `valid` flag.
//
// There is one mirror and one range, of pages [0, 0] of mm 0. Some error codes depend on circumstances (memory,
// permissions, how long others take). If the thread's argument allows them, each may happen or not.
#pragma once

#include "kernels_ref/protocol/machine/kernel.h"

namespace faultline::ref::protocol {

// What may happen in addition to what the other threads do. Bits of a thread's argument.
enum Circumstance : int { quiet = 0, any_error = 1, time_runs_out = 2 };

inline constexpr int hmm_object = 0;  // struct hmm: a reference for the mirror and one for each range

// 0, -EINVAL or -EFAULT (the mm is gone). Takes a reference to hmm and to the mm's users.
Task<int> hmm_range_register(Kernel k, int circumstance);
// True, the range is valid; false, a second has passed.
Task<bool> hmm_range_wait_until_valid(Kernel k, int circumstance);
// Pages, 0, or a negative code; `seen` is the page as the CPU maps it. Call with mmap_sem held.
// -EBUSY: the range is not valid, mmap_sem still held. -EAGAIN: mmap_sem was dropped.
struct Snapshot {
  int result = 0;
  Page seen;
};
Task<Snapshot> hmm_range_fault(Kernel k, bool block, int circumstance);
// The same without faulting: never drops mmap_sem.
Task<Snapshot> hmm_range_snapshot(Kernel k, int circumstance);
bool hmm_range_valid(Kernel k);
// May be the last mmput.
Task<void> hmm_range_unregister(Kernel k);

// hmm's mmu notifier; `sync` is hmm_mirror_ops.sync_cpu_device_pagetables of the one mirror.
Task<void> hmm_invalidate_range_start(Kernel k, Task<void> (*sync)(Kernel));
Task<void> hmm_invalidate_range_end(Kernel k);
Task<void> hmm_release(Kernel k);

}  // namespace faultline::ref::protocol
