// The rules of the reference that can be dropped, one at a time, to show that something notices.
//
// A rule is one thing that a kernel function does. The reference asks for the rule where it does that thing. Dropping a
// rule is a departure (twins.h): the reference then models a kernel with that bug. stress/broken_reference.py and the
// tests show which scenario, claim or conformance program then fails.
#pragma once

#include <bitset>

#include "kernels_ref/engine/enumerator_names.h"

namespace faultline::ref {

enum class Rule {
  // mm/memory.c
  cow_copies_contents,        // wp_page_copy: the new page has the old one's contents
  cow_keeps_shared_page,      // do_wp_page: a page mapped elsewhere is not written in place
  cow_notifies,               // wp_page_copy: mmu_notifier_invalidate_range_start(CLEAR)
  cow_rechecks_pte,           // wp_page_copy: pte_same under the page-table lock
  cow_flushes,                // wp_page_copy: ptep_clear_flush, before the new entry
  zero_page_is_copied,        // do_wp_page: the zero page is never written
  read_fault_maps_zero_page,  // do_anonymous_page: a read of an empty entry maps the zero page
  fault_checks_write,         // access_error: a store needs VM_WRITE
  fault_checks_access,        // access_error: a load needs an accessible VMA
  shared_fault_uses_cache,    // shmem_fault: every mapping sees the object's page
  fault_checks_size,          // shmem_fault, filemap_fault: SIGBUS beyond the end of the file
  cow_fault_copies,           // do_cow_fault: a private page starts as a copy of the file's
  store_dirties_pte,          // a store sets the entry's dirty bit, which ends MADV_FREE for the page
  // kernel/fork.c, copy_page_range
  fork_write_protects,      // copy_present_pte: the parent's entry becomes read-only
  fork_protects_last_page,  // ... the last page of a VMA too
  fork_notifies,            // copy_page_range: PROTECTION_PAGE
  fork_flushes,             // dup_mmap: flush_tlb_mm of the parent
  fork_skips_dontfork,      // dup_mmap: VM_DONTCOPY
  fork_wipes,               // dup_mmap: VM_WIPEONFORK
  fork_blocks_faults,       // dup_mmap: mmap_write_lock, vma_start_write
  fork_keeps_shared,        // a shared mapping is shared with the child
  // mm/mmap.c, mm/mprotect.c, mm/mremap.c, mm/madvise.c
  stack_grows,       // expand_downwards: an access below a VM_GROWSDOWN mapping extends it
  stack_keeps_gap,   // ... unless something accessible is less than stack_guard_gap below
  copied_vma_grows,  // vm_area_dup: fork() and mremap() keep VM_GROWSDOWN
  munmap_notifies,
  munmap_flushes,
  zapped_pages_stay,  // tlb_finish_mmu: pages are freed only when no TLB leads to them any more
  munmap_zaps_last_page,
  mprotect_notifies,
  mprotect_flushes,
  mprotect_changes_ptes,
  mprotect_blocks_faults,
  mremap_notifies,
  mremap_flushes,
  mremap_moves_contents,
  dontneed_notifies,
  dontneed_zaps,
  dontneed_flushes,
  free_notifies,  // madvise_free_single_vma: CLEAR
  free_flushes,
  collapse_copies,  // collapse_huge_page: the huge page has the contents of the small ones
  collapse_notifies,
  collapse_flushes,        // pmdp_collapse_flush
  collapse_flushes_first,  // ... before it checks who holds the pages: then nobody can take another reference
  populate_faults,         // madvise_populate: every page is faulted in
  // fs/userfaultfd.c, mm/userfaultfd.c
  missing_fault_waits,       // do_anonymous_page: handle_userfault(VM_UFFD_MISSING)
  protected_fault_waits,     // do_wp_page: handle_userfault(VM_UFFD_WP)
  uffd_copy_keeps_page,      // mfill_atomic_install_pte: -EEXIST where a page is
  uffd_copy_wakes,           // userfaultfd_copy: wake_userfault
  uffd_protect_flushes,      // uffd_wp_range: tlb_finish_mmu
  uffd_unregister_wakes,     // userfaultfd_unregister: wake_userfault, if the VMA has VM_UFFD_MISSING
  uffd_unregister_resolves,  // ... and uffd_wp_range, if it has VM_UFFD_WP
  fork_drops_userfaults,     // dup_userfaultfd: the child's VMA is not registered
  mremap_drops_userfaults,   // mremap_userfaultfd_prep: the moved VMA is not registered
  migrate_keeps_protection,  // set_migration_pte, remove_migration_pte: pte_swp_mkuffd_wp
  migrate_leaves_missing,    // migrate_vma_insert_page: backs off where a fault would wait
  // mm/truncate.c
  truncate_unmaps,    // unmap_mapping_range, truncate_inode_folio
  truncate_notifies,  // zap_page_range_single: CLEAR
  truncate_flushes,
  truncate_unmaps_twice,  // truncate_pagecache: again after the pages are gone, for private copies
  hole_keeps_copies,      // unmap_mapping_range without even_cows: private copies stay
  // mm/rmap.c, mm/vmscan.c
  reclaim_notifies,  // try_to_unmap_one: CLEAR
  reclaim_flushes,   // try_to_unmap_flush, before the page is free
  // mm/mmu_notifier.c
  callback_erases,      // the driver's invalidate() drops the device's entries
  callback_stamps,      // mmu_interval_set_seq
  callback_takes_lock,  // the driver's lock in invalidate()
  read_begin_waits,     // mmu_interval_read_begin sleeps while a stamped range is being invalidated
  release_at_exit,      // mn_itree_release
  // mm/hmm.c
  hmm_faults_for_write,  // hmm_pte_need_fault: a read-only page is faulted for a write
  hmm_checks_write,      // -EPERM without VM_WRITE
  hmm_checks_read,       // -EFAULT without VM_READ
  hmm_extends_nothing,   // find_vma, not find_extend_vma: -EFAULT below a stack
  hmm_checks_sequence,   // -EBUSY when the sequence changed
  // mm/rmap.c: make_device_exclusive_range; mm/memory.c: remove_device_exclusive_entry
  exclusive_notifies,  // MMU_NOTIFY_EXCLUSIVE, when the device gets the page and when it loses it
  exclusive_flushes,   // ptep_clear_flush
  // lib/test_hmm.c
  device_rechecks,            // mmu_interval_read_retry before the entries are stored
  device_checks_write_tag,    // WRITE needs a writable entry
  migrate_inserts_pages,      // migrate_vma_insert_page: a page that was not there is one on the device
  migrate_flushes,            // migrate_vma_collect_pmd: ptep_clear_flush, before anything is copied
  migrate_checks_late,        // ... and it checks who holds a page only when nobody can take another reference
  migrate_copies,             // the device page gets the system page's contents
  migrate_back_copies,        // and back
  migrate_back_erases_entry,  // dmirror_devmem_fault_alloc_and_copy: xa_erase
  migrate_tells_others,       // MMU_NOTIFY_MIGRATE goes to every device but its owner
  migrate_respects_write,     // a read-only page comes back read-only
  migrate_respects_pins,      // migrate_vma_collect_pmd, migrate_vma_check_page: a held page does not move
  migrate_runs_out,           // dmirror_devmem_alloc_page, alloc_page_vma: a page that gets no memory stays where it is
  close_evicts,               // dmirror_fops_release
  // drivers/gpu/drm/amd/amdkfd
  kfd_migrates_range,        // svm_migrate_to_ram: a fault of the CPU brings back the whole range
  kfd_tells_unmaps,          // kfd_smi_event_unmap_from_gpu
  kfd_stops_queues,          // kgd2kfd_quiesce_mm, at the first eviction
  kfd_restores_queues,       // kgd2kfd_resume_mm, when all ranges are mapped again
  kfd_unmaps_at_munmap,      // svm_range_unmap_from_cpu
  kfd_unmap_clears_entries,  // svm_range_unmap_from_gpu
  kfd_fault_takes_vma,       // svm_range_get_range_boundaries: a new range is as long as its VMA
  kfd_fault_migrates,        // svm_range_best_restore_location: the range moves to a GPU that may access it
  kfd_fault_maps_range,      // svm_range_restore_pages: the whole range is mapped
  kfd_tells_faults,          // kfd_smi_event_page_fault_end
  mmget_guards,              // mmget_not_zero before touching a dying mm
  // kernel/exit.c, kernel/signal.c
  kill_ends_process,
  wait_waits,
  // mm/gup.c, io_uring/rsrc.c, and what fork() does for pinned pages
  pin_breaks_cow,            // FOLL_WRITE: a page that is not writable is faulted for a write first
  pin_checks_write,          // check_vma_flags: -EFAULT without VM_WRITE
  read_pin_unshares,         // gup_must_unshare: FOLL_PIN alone needs an exclusive page (5.19)
  gup_fast_checks_fork,      // gup_fast: read_seqcount_retry(write_protect_seq), 57efa1fe5957
  fork_copies_pinned,        // copy_present_page: the child gets a copy, 70e806e4e645
  fork_copy_keeps_contents,  // ... which has the page's contents
  unpin_lets_go,             // unpin_user_page
  cow_counts_references,     // do_wp_page: a held page is not reused, 09854ba94c6a
  // fs/iomap/direct-io.c, block/bio.c
  direct_io_holds_page,  // bio_iov_iter_get_pages: holds the page until the transfer's end
  direct_read_dirties,   // bio_set_pages_dirty, bio_check_pages_dirty
  // The OpenCL specification, 3.3.6: the memory model
  release_synchronises,   // if an acquire reads a release, what is before the release comes before what is behind the acquire
  updates_are_atomic,     // no write comes between the read and the write of an update
  memory_is_coherent,     // all reads of a cell agree with one order of its writes
  seq_cst_has_one_order,  // all sequentially consistent accesses have one order
  count_
};

inline constexpr int rule_count = static_cast<int>(Rule::count_);
using Rules = std::bitset<rule_count>;  // set = dropped

}  // namespace faultline::ref
