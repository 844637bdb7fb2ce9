// mm/memory.c: what a page fault does, for the CPU and for hmm_range_fault; and CPU accesses.
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// handle_mm_fault for one page. The caller holds mmap_lock for read or the VMA's own lock, and has
// checked the VMA's permissions. Its first page-table section is part of the caller's step. When it
// returns, the entry may or may not serve the access: the caller looks again.
enum class Fault : std::uint8_t {
  done,
  retry,   // the fault needs mmap_lock and has done nothing (VM_FAULT_RETRY)
  sigbus,  // beyond the end of the file (VM_FAULT_SIGBUS)
};
Task<Fault> handle_mm_fault(Cpu cpu, MmId mm, Slot slot, bool write, bool has_mmap_lock);

// do_wp_page with FAULT_FLAG_UNSHARE: a private page that is not exclusive becomes so, or is replaced by a copy that
// is; it stays read-only. The caller holds mmap_lock for read.
Task<void> unshare_page(Cpu cpu, MmId mm, Slot slot);

// A CPU load (or store of `value`) by this thread, through the page tables of its process, with the
// faults it takes. Result: contents or ok, or a signal.
Task<Result> cpu_load(Cpu cpu, Slot slot);
Task<Result> cpu_store(Cpu cpu, Slot slot, int value);

// dmirror_devmem_fault, for a page that lives in device memory (do_swap_page): back to system memory.
// The caller holds mmap_lock of `mm` for read. Returns when the page moved or another thread is moving it.
Task<void> migrate_to_ram(Cpu cpu, MmId mm, Slot slot, FrameId page);

// Replaces every entry of `page` by a migration entry / restores them to `to` (rmap walks). migrate_vma
// has collected the entry of `own` without a word to its driver. For the others try_to_migrate_one sends
// CLEAR to each VMA that the rmap walk visits, before it looks for an entry there: to that of `own` too
// (`tells_own`), if it comes before the last one that maps the page. The order in the rmap tree decides,
// so that the caller chooses where the page is mapped elsewhere.
// A page of the page cache was collected `at` one place, and may be mapped at others of `own`.
void unmap_for_migration(Cpu cpu, MmId own, FrameId page, bool tells_own, Slot at = -1);
bool mapped_elsewhere(const World& world, FrameId page);
// A mirror of another mm holds its mutex to copy the page of the device: CLEAR waits for it.
bool copied_elsewhere(const World& world, FrameId page, MmId own);
void remove_migration_entries(Cpu cpu, FrameId page, FrameId to);

// Whether an access finds what it needs in the entry.
bool serves(const Pte& pte, bool write);

Result ok();
Result failed(int error);

}  // namespace faultline::ref
