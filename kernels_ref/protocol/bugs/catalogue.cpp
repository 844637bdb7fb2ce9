// The catalogue of historic bugs.
#include "kernels_ref/protocol/bugs/historic_bug.h"
#include "kernels_ref/protocol/device_memory/faults.h"
#include "kernels_ref/protocol/device_memory/migration.h"
#include "kernels_ref/protocol/drivers/amdkfd_range.h"
#include "kernels_ref/protocol/drivers/amdkfd_retry_fault.h"
#include "kernels_ref/protocol/drivers/amdkfd_vram.h"
#include "kernels_ref/protocol/drivers/nouveau_2019.h"
#include "kernels_ref/protocol/drivers/xe_and_mlx5_workers.h"
#include "kernels_ref/protocol/fork/fork_fences.h"
#include "kernels_ref/protocol/notifiers/interval_notifier.h"
#include "kernels_ref/protocol/notifiers/mm_references.h"
#include "kernels_ref/protocol/notifiers/notifier_list.h"

namespace faultline::ref::protocol {

namespace {

Protocol faults_and_invalidations() { return interval_notifier(2, 1, 2); }
// Nothing times out here: a timeout leaves a range registered even after the series (claim 1.9).
Protocol return_paths() { return nouveau_return_paths(any_error); }
Protocol today() { return nouveau_today(quiet); }
Protocol fork_with_faulting_device() { return fork_with_device(DeviceKind::recoverable, 2, false); }

}  // namespace

std::vector<HistoricBug> historic_bugs() {
  // clang-format off
  return {
      {1, "xe used HMM's PFNs without the notifier lock and a valid sequence (0a98219bcc96)",
       faults_and_invalidations, Variant::programs_before_lock, Finding::stale_entry},
      {2, "hfi1: nothing covers look-up to programming, an invalidation comes between (b3deec2)",
       faults_and_invalidations, Variant::no_read_retry, Finding::stale_entry},
      {3, "CVE-2025-21880 xe: a userptr whose pages are gone stays on the rebind list",
       xe_rebind, Variant::failed_rebind_stays_listed, Finding::use_after_free},
      {4, "hmm destroys the input flags when it returns EBUSY; the second pass drops the write request "
       "(846babe85efd)",
       today, Variant::ebusy_clears_request, Finding::wrong_result},
      {5, "the OOM reaper unmaps without start and end notification (4d4bbd8526a8)",
       faults_and_invalidations, Variant::changes_without_notification, Finding::stale_entry},
      {6, "-EAGAIN also meant \"range invalid\", though it means that mmap_sem was dropped (2bcbeaefde2f)",
       return_paths, Variant::invalid_range_is_eagain, Finding::unlock_not_held},
      {7, "nouveau: wrong unlocks on errors (de4ee728465f)",
       return_paths, Variant::helper_unlocks_some, Finding::unlock_not_held},
      {8, "a failed trylock leaves the notifier count raised (5a136b4ae327)",
       nonblocking_invalidation, Variant::failed_trylock_keeps_count, Finding::waits_for_ever},
      {9, "RDMA/odp: -EAGAIN of a start that must not block keeps the rwsem",
       nonblocking_invalidation, Variant::failed_start_keeps_rwsem, Finding::lock_at_return},
      {10, "one notifier's start fails, the others never get their end (c2655835fd8c)",
       nonblocking_invalidation, Variant::failed_start_ends_nobody, Finding::waits_for_ever},
      {11, "nouveau: a start below the VMA fails the whole range (b92103b559c7)",
       today, Variant::window_not_clamped, Finding::wrong_result},
      {12, "mmu_interval_notifier_remove returns while the invalidation ends (319561669a59)",
       remove_against_end, Variant::remove_waits_without_lock, Finding::use_after_free},
      {13, "struct hmm freed before the SRCU grace period (6d7c3cde93c1)",
       unregister_against_walk, Variant::frees_before_grace_period, Finding::use_after_free},
      {14, "mm->hmm cleared while the list is walked (86a2d59841ab)",
       unregister_against_walk, Variant::clears_mm_hmm_first, Finding::use_after_free},
      {14, "mm->hmm cleared before the notifier is unregistered (86a2d59841ab)",
       mirror_unregister, Variant::hmm_cleared_first, Finding::null_pointer},
      {15, "CVE-2023-52825 kfd: svm_bo let go by the notifier and after the migration",
       svm_bo_release, Variant::bo_unref_without_lock, Finding::use_after_free},
      {16, "cda0817b41bd kfd: deferred list work without a valid mm",
       amdkfd_xnack_on, Variant::deferred_work_without_mm, Finding::use_after_free},
      {16, "367c9b0f1b87 kfd: deferred list work leaks its mm reference",
       amdkfd_xnack_on, Variant::deferred_work_keeps_mm, Finding::leak},
      {17, "amdkfd: a notifier uses an mm whose mm_users are 0 (fa582c6f3684)",
       deferred_list_work, Variant::notifier_gets_dead_mm, Finding::use_after_free},
      {17, "amdkfd: mmput inside a notifier becomes the last (cf234231fcbc)",
       deferred_list_work, Variant::notifier_drops_mm, Finding::waits_for_ever},
      {18, "a device-exclusive fault takes no reference to the page (7c7b962938dd)",
       device_exclusive_faults, Variant::exclusive_fault_without_ref, Finding::use_after_free},
      {19, "a device-private fault takes no reference to the page (16ce101db85d)",
       device_private_faults, Variant::private_fault_without_ref, Finding::use_after_free},
      {20, "744dd97752ef test_hmm: close without evicting",
       close_with_pages, Variant::close_without_eviction, Finding::use_after_free},
      {21, "amdgpu unregisters a notifier whose registration failed",
       insert_against_exit, Variant::unregisters_what_failed, Finding::not_registered},
      {22, "CVE-2026-72331: a saved VMA pointer against munmap",
       amdkfd_xnack_on, Variant::fault_keeps_vma, Finding::use_after_free},
      {23, "CVE-2025-21714 mlx5: destroy work queued by two invalidations",
       odp_destroy, Variant::destroy_work_queued_twice, Finding::double_free},
      {24, "hfi1 unregisters from the wrong mm when another context closes (3faa3d9a308e)",
       unregister_against_walk, Variant::unregisters_from_current_mm, Finding::leak},
      {25, "mmget leaked on an error path",
       nouveau_today_munmap, Variant::error_path_keeps_mm, Finding::leak},
      {26, "kfd flushes the deferred list under a lock that its work takes",
       amdkfd_xnack_off, Variant::flush_under_mmap_lock, Finding::order_cycle},
      {26, "kfd cancels work at exit under a lock that the work takes",
       amdkfd_xnack_off, Variant::exit_cancels_under_process_lock, Finding::order_cycle},
      {27, "25f0b322ffb5 kfd: eviction's mmap_read behind a writer, the allocator waits for its fence",
       vram_eviction, Variant::allocation_waits_for_eviction, Finding::waits_for_ever},
      {28, "e433d6843310 kfd: eviction with XNACK off takes the lock",
       amdkfd_xnack_off, Variant::eviction_takes_process_lock, Finding::order_cycle},
      {28, "e433d6843310, the other way: the lock is left out",
       amdkfd_xnack_off, Variant::restore_without_svms_lock, Finding::missing_lock},
      {29, "kfd: a child's fault on its parent's VRAM is refused",
       child_of_vram, Variant::child_fault_is_refused, Finding::wrong_result},
      {29, "kfd, its fix: the fault walks the parent's VMAs without their lock",
       child_of_vram, Variant::child_fault_walks_parent, Finding::use_after_free},
      {30, "CVE-2026-43370 amdgpu: parent and child acquire one VM",
       acquire_vm_after_fork, Variant::acquire_vm_without_lock, Finding::wrong_result},
      {31, "amdkfd: some pages fail to come back, yet the range says that all are there: endless CPU "
       "faults (740a451b0797)",
       incomplete_migration, Variant::range_marked_migrated, Finding::livelock},
      {32, "CVE-2026-89808 kfd: a hole leaves a result that drops all VRAM",
       vram_with_a_hole, Variant::hole_counts_as_migrated, Finding::use_after_free},
      {33, "fd35ca3d12cc: the PTE's dirty bit is not copied",
       migrate_written_page, Variant::dirty_bit_not_copied, Finding::lost_write},
      {34, "the slow path back from device memory maps read-only: double faults (3d88705c1067)",
       device_private_faults, Variant::slow_path_read_only, Finding::needless_fault},
      {35, "another device's private page gives an error instead of a migration back",
       other_device_page, Variant::other_device_private_fails, Finding::wrong_result},
      {36, "CVE-2025-21861: a freed folio is put onto the LRU",
       finalize_against_unmap, Variant::lru_add_after_put, Finding::use_after_free},
      {37, "c4126f1db36e: CPU fault and eviction by frame number migrate one page",
       faults_on_device_page, Variant::eviction_holds_reference, Finding::livelock},
      {38, "1afaeb8293c9: N threads fault one device page",
       faults_on_device_page, Variant::fault_holds_reference, Finding::livelock},
      {39, "amdkfd: a retry fault after the VMA is gone but before the notifier is reported as failure "
       "(0cc53cb45066)",
       retry_fault, Variant::stale_fault_fails, Finding::wrong_result},
      {39, "0cc53cb45066 kfd: a retry fault after VMA removal but before the notifier is a failure",
       amdkfd_xnack_on, Variant::missing_vma_is_reported, Finding::wrong_result},
      {41, "references of fault and collect: the split always gives EAGAIN",
       fault_on_large_folio, Variant::split_forgets_the_fault, Finding::livelock},
      {42, "nouveau unmaps PAGE_SIZE of a larger mapping",
       device_private_faults, Variant::unmaps_one_page, Finding::leak},
      {43, "60bae7370896: the page-table lock is dropped before the flush",
       collect_against_dontneed, Variant::ptl_dropped_before_flush, Finding::stale_entry},
      {44, "94e25cb6ab7f: eviction without a TLB flush",
       fork_with_faulting_device, Variant::no_device_flush, Finding::wrong_page},
      {46, "an invalidation of end - start + 1 (e6f48bed2cbe)",
       nouveau_today_neighbour, Variant::invalidates_one_too_many, Finding::needless_fault},
  };
  // clang-format on
}

std::vector<Unexpressed> unexpressed_bugs() {
  return {
      {40, "a device-private PMD taken for a migration entry (f84ca9b1888d)",
       "the protocols have one level of page tables: a PMD and a PTE do not differ in them"},
      {46, "per-page TLB invalidation by an SMMU: 26 s without a schedule (d5afb4b47e13)",
       "every schedule ends, and soon in steps: what went wrong is the time that a step takes"},
  };
}

}  // namespace faultline::ref::protocol
