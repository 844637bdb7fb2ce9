// Historic bugs of nouveau, of HMM beneath it and of its neighbours, as variants.
#include "kernels_ref/protocol/device_memory.h"
#include "kernels_ref/protocol/mm_references.h"
#include "kernels_ref/protocol/mutant.h"
#include "kernels_ref/protocol/nouveau.h"
#include "kernels_ref/protocol/retry_fault.h"

namespace faultline::ref::protocol {

namespace {

// Nothing times out: what that leaves behind, the series left too (claim 1.9).
Protocol return_paths() { return nouveau_return_paths(any_error); }
Protocol today() { return nouveau_today(quiet); }

}  // namespace

std::vector<Mutant> nouveau_mutants() {
  return {
      {4,
       "hmm destroys the input flags when it returns EBUSY; the second pass drops the write request "
       "(846babe85efd)",
       today, Variant::ebusy_clears_request, Finding::wrong_result},
      {6, "-EAGAIN also meant \"range invalid\", though it means that mmap_sem was dropped (2bcbeaefde2f)",
       return_paths, Variant::invalid_range_is_eagain, Finding::unlock_not_held},
      {7, "nouveau: wrong unlocks on errors (de4ee728465f)", return_paths, Variant::helper_unlocks_some,
       Finding::unlock_not_held},
      {11, "nouveau: a start below the VMA fails the whole range (b92103b559c7)", today,
       Variant::window_not_clamped, Finding::wrong_result},
      {14, "mm->hmm cleared before the notifier is unregistered (86a2d59841ab)", mirror_unregister,
       Variant::hmm_cleared_first, Finding::null_pointer},
      {17, "amdkfd: a notifier uses an mm whose mm_users are 0 (fa582c6f3684)", deferred_list_work,
       Variant::notifier_gets_dead_mm, Finding::use_after_free},
      {17, "amdkfd: mmput inside a notifier becomes the last (cf234231fcbc)", deferred_list_work,
       Variant::notifier_drops_mm, Finding::waits_for_ever},
      {18, "a device-exclusive fault takes no reference to the page (7c7b962938dd)", device_exclusive_faults,
       Variant::exclusive_fault_without_ref, Finding::use_after_free},
      {19, "a device-private fault takes no reference to the page (16ce101db85d)", device_private_faults,
       Variant::private_fault_without_ref, Finding::use_after_free},
      {25, "mmget leaked on an error path", nouveau_today_munmap, Variant::error_path_keeps_mm,
       Finding::leak},
      {31,
       "amdkfd: some pages fail to come back, yet the range says that all are there: endless CPU faults "
       "(740a451b0797)",
       incomplete_migration, Variant::range_marked_migrated, Finding::livelock},
      {34, "the slow path back from device memory maps read-only: double faults (3d88705c1067)",
       device_private_faults, Variant::slow_path_read_only, Finding::needless_fault},
      {35, "another device's private page gives an error instead of a migration back", other_device_page,
       Variant::other_device_private_fails, Finding::wrong_result},
      {39,
       "amdkfd: a retry fault after the VMA is gone but before the notifier is reported as failure "
       "(0cc53cb45066)",
       retry_fault, Variant::stale_fault_fails, Finding::wrong_result},
      {42, "nouveau unmaps PAGE_SIZE of a larger mapping", device_private_faults, Variant::unmaps_one_page,
       Finding::leak},
      {46, "an invalidation of end - start + 1 (e6f48bed2cbe)", nouveau_today_neighbour,
       Variant::invalidates_one_too_many, Finding::needless_fault},
  };
}

}  // namespace faultline::ref::protocol
