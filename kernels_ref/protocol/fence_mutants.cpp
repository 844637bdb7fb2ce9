// Historic bugs around fences, fork, work queues and device pages.
#include "kernels_ref/protocol/amdkfd.h"
#include "kernels_ref/protocol/device_page.h"
#include "kernels_ref/protocol/fork_fences.h"
#include "kernels_ref/protocol/kfd_vram.h"
#include "kernels_ref/protocol/mutant.h"
#include "kernels_ref/protocol/rebind.h"

namespace faultline::ref::protocol {

std::vector<Mutant> fence_mutants() {
  const auto fork_with_faulting_device = [] { return fork_with_device(DeviceClass::recoverable, 2, false); };
  return {
      {3, "CVE-2025-21880 xe: a userptr whose pages are gone stays on the rebind list", xe_rebind,
       Variant::failed_rebind_stays_listed, Finding::use_after_free},
      {15, "CVE-2023-52825 kfd: svm_bo let go by the notifier and after the migration", svm_bo_release,
       Variant::bo_unref_without_lock, Finding::use_after_free},
      {16, "cda0817b41bd kfd: deferred list work without a valid mm", amdkfd_xnack_on, Variant::deferred_work_without_mm,
       Finding::use_after_free},
      {16, "367c9b0f1b87 kfd: deferred list work leaks its mm reference", amdkfd_xnack_on, Variant::deferred_work_keeps_mm,
       Finding::leak},
      {20, "744dd97752ef test_hmm: close without evicting", close_with_pages, Variant::close_without_eviction,
       Finding::use_after_free},
      {22, "CVE-2026-72331: a saved VMA pointer against munmap", amdkfd_xnack_on, Variant::fault_keeps_vma,
       Finding::use_after_free},
      {23, "CVE-2025-21714 mlx5: destroy work queued by two invalidations", odp_destroy, Variant::destroy_work_queued_twice,
       Finding::double_free},
      {26, "kfd flushes the deferred list under a lock that its work takes", amdkfd_xnack_off, Variant::flush_under_mmap_lock,
       Finding::order_cycle},
      {26, "kfd cancels work at exit under a lock that the work takes", amdkfd_xnack_off,
       Variant::exit_cancels_under_process_lock, Finding::order_cycle},
      {27, "25f0b322ffb5 kfd: eviction's mmap_read behind a writer, the allocator waits for its fence", vram_eviction,
       Variant::allocation_waits_for_eviction, Finding::waits_for_ever},
      {28, "e433d6843310 kfd: eviction with XNACK off takes the lock", amdkfd_xnack_off, Variant::eviction_takes_process_lock,
       Finding::order_cycle},
      {28, "e433d6843310, the other way: the lock is left out", amdkfd_xnack_off, Variant::restore_without_svms_lock,
       Finding::missing_lock},
      {29, "kfd: a child's fault on its parent's VRAM is refused", child_of_vram, Variant::child_fault_is_refused,
       Finding::wrong_result},
      {29, "kfd, its fix: the fault walks the parent's VMAs without their lock", child_of_vram,
       Variant::child_fault_walks_parent, Finding::use_after_free},
      {30, "CVE-2026-43370 amdgpu: parent and child acquire one VM", acquire_vm_after_fork, Variant::acquire_vm_without_lock,
       Finding::wrong_result},
      {32, "CVE-2026-89808 kfd: a hole leaves a result that drops all VRAM", vram_with_a_hole, Variant::hole_counts_as_migrated,
       Finding::use_after_free},
      {33, "fd35ca3d12cc: the PTE's dirty bit is not copied", migrate_written_page, Variant::dirty_bit_not_copied,
       Finding::lost_write},
      {36, "CVE-2025-21861: a freed folio is put onto the LRU", finalize_against_unmap, Variant::lru_add_after_put,
       Finding::use_after_free},
      {37, "c4126f1db36e: CPU fault and eviction by frame number migrate one page", faults_on_device_page,
       Variant::eviction_holds_reference, Finding::livelock},
      {38, "1afaeb8293c9: N threads fault one device page", faults_on_device_page, Variant::fault_holds_reference,
       Finding::livelock},
      {39, "0cc53cb45066 kfd: a retry fault after VMA removal but before the notifier is a failure", amdkfd_xnack_on,
       Variant::missing_vma_is_reported, Finding::wrong_result},
      {41, "references of fault and collect: the split always gives EAGAIN", fault_on_large_folio,
       Variant::split_forgets_the_fault, Finding::livelock},
      {43, "60bae7370896: the page-table lock is dropped before the flush", collect_against_dontneed,
       Variant::ptl_dropped_before_flush, Finding::stale_entry},
      {44, "94e25cb6ab7f: eviction without a TLB flush", fork_with_faulting_device, Variant::no_device_flush,
       Finding::wrong_page},
  };
}

}  // namespace faultline::ref::protocol
