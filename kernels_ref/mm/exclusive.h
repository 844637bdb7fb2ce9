// mm/rmap.c, mm/memory.c (6.1): pages that only a device may touch.
//
// make_device_exclusive_range() replaces the CPU's entry by one that is not present. Any other access to the
// page faults, and the fault takes the page back from the device (MMU_NOTIFY_EXCLUSIVE).
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// Returns how many pages were found, counted from `from`. Those that are now exclusive to the device are in `pages`. Each
// is locked and has a reference; the driver unlocks it and drops the reference. The caller holds mmap_lock for read.
Task<int> make_device_exclusive_range(Cpu cpu, MmId mm, Slot from, Slot to, FramesOfRange* pages);

// remove_device_exclusive_entry, for a fault under mmap_lock or the VMA's lock.
Task<void> remove_exclusive_entry(Cpu cpu, MmId mm, Slot slot);

// restore_exclusive_pte: the CPU has its entry again.
void restore_exclusive_entry(World& world, MmId mm, Slot slot);

}  // namespace faultline::ref
