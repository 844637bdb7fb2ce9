// mm/mmap.c, mm/mprotect.c, mm/mremap.c, mm/madvise.c: the system calls that change mappings, and their
// common parts.
// Each returns the result of the system call for the pages [from, to] of the calling process.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// MAP_FIXED; `file` is the object of a file mapping, or none.
Task<Result> sys_mmap(Cpu cpu, Slot from, Slot to, Backing backing, Protection protection, int file);
Task<Result> sys_munmap(Cpu cpu, Slot from, Slot to);
Task<Result> sys_mprotect(Cpu cpu, Slot from, Slot to, Protection protection);
// MREMAP_FIXED, same length. `dontunmap`: MREMAP_DONTUNMAP.
Task<Result> sys_mremap(Cpu cpu, Slot from, Slot to, Slot target, bool dontunmap);
Task<Result> sys_madvise(Cpu cpu, Slot from, Slot to, op::Advice advice);  // madvise.cpp

// Maps pages and takes no lock. Either the caller holds the locks, or this builds the state in which a scenario starts.
void map_pages(Cpu cpu, MmId mm, Slot from, Slot to, Backing backing, Protection protection, int file);

// unmap_vmas, under whatever lock the caller holds: notifier start, entries one by one, notifier end.
// Frames stay in the gather until the caller has flushed. `even_cows`: private copies of a file's pages too.
Task<void> unmap_pages(Cpu cpu, MmId mm, Slot from, Slot to, Rule notifies, Gather* gather, bool even_cows = true);
// tlb_finish_mmu. Takes no step if nothing was zapped.
Task<void> finish(Cpu cpu, MmId mm, Slot from, Slot to, const Gather* gather, Rule flushes);

// change_protection for [from, to] of one VMA, whose flags are the new ones: notifier start, entries one by one, notifier end.
// The caller flushes. Returns whether there was an entry. `wp`: MM_CP_UFFD_WP, MM_CP_UFFD_WP_RESOLVE, or neither.
enum class UffdWp { keep, set, clear };
Task<bool> change_protection(Cpu cpu, MmId mm, Slot from, Slot to, UffdWp wp);

Task<void> write_lock(Cpu cpu, MmId mm);  // mmap_write_lock
Task<void> read_lock(Cpu cpu, MmId mm);   // mmap_read_lock
// vma_start_write. Takes no step of its own if nobody faults there.
Task<void> write_lock_vmas(Cpu cpu, MmId mm, Slot from, Slot to);
Task<void> merge_vma(Cpu cpu, MmId mm, Slot from, Slot to);

}  // namespace faultline::ref
