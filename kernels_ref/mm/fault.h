// mm/memory.c: what a page fault does, for the CPU and for hmm_range_fault; and CPU accesses.
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// handle_mm_fault for one page. The caller holds mmap_lock for read or the VMA's own lock, and has
// checked the VMA's permissions. The first page-table section is part of the caller's step. On return
// the entry may or may not serve the access, so the caller looks again.
enum class Fault : std::uint8_t {
  done,
  retry,      // the fault needs mmap_lock and has done nothing (VM_FAULT_RETRY)
  sigbus,     // beyond the end of the file (VM_FAULT_SIGBUS)
  userfault,  // a caller that can drop its lock sleeps in handle_userfault(); for any other one it is VM_FAULT_SIGBUS
};
Task<Fault> handle_mm_fault(Cpu cpu, MmId mm, Slot slot, bool write, bool has_mmap_lock);

// do_wp_page with FAULT_FLAG_UNSHARE: makes a private page exclusive, or replaces it by an exclusive copy. The entry
// stays read-only. The caller holds mmap_lock for read.
Task<void> unshare_page(Cpu cpu, MmId mm, Slot slot);

// A CPU load (or store of `value`) by this thread, through the page tables of its process, with the
// faults it takes. Result: contents or ok, or a signal.
Task<Result> cpu_load(Cpu cpu, Slot slot);
Task<Result> cpu_store(Cpu cpu, Slot slot, int value);

// Whether the entry allows the access without a fault.
bool serves(const Pte& pte, bool write);

Result ok();
Result failed(int error);

}  // namespace faultline::ref
