// mm/rmap.c, mm/memory.c, lib/test_hmm.c (6.1): pages that only the device may touch.
//
// make_device_exclusive_range() replaces the CPU's entry by one that is not present. Whatever else wants the
// page faults, and the fault takes it back from the device (MMU_NOTIFY_EXCLUSIVE).
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

Task<Result> dmirror_exclusive(Cpu cpu, MirrorId opener, Slot from, Slot to);
Task<Result> dmirror_check_exclusive(Cpu cpu, MirrorId opener, Slot from, Slot to);  // dmirror_check_atomic

// remove_device_exclusive_entry, for a fault under mmap_lock or the VMA's lock.
Task<void> remove_exclusive_entry(Cpu cpu, MmId mm, Slot slot);

// restore_exclusive_pte: the CPU has its entry again.
void restore_exclusive_entry(World& world, MmId mm, Slot slot);

}  // namespace faultline::ref
