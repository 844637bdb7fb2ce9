// Variants are the departures of protocols (twins.h): patches of the mail threads, the reviewers' alternatives, and
// historic bugs. Each is a few lines in one protocol function.
#pragma once

#include <bitset>
#include <initializer_list>
#include <string_view>

#include "kernels_ref/engine/enumerator_names.h"

namespace faultline::ref::protocol {

enum class Variant : int {
  // notifiers/interval_notifier.cpp, notifiers/mmu_notifier.cpp: mm/mmu_notifier.c, and what it asks of drivers
  no_read_retry,
  callback_does_not_stamp,
  callback_without_lock,
  read_begin_does_not_wait,
  first_end_completes,
  programs_before_lock,
  changes_without_notification,
  remove_waits_without_lock,
  unregisters_what_failed,
  // notifiers/notifier_list.cpp: notifiers with a start and an end, and their list
  failed_trylock_keeps_count,
  failed_start_keeps_rwsem,
  failed_start_ends_nobody,
  frees_before_grace_period,
  clears_mm_hmm_first,
  unregisters_from_current_mm,
  // notifiers/find.cpp: mmu_interval_notifier_find() and the series around it
  driver_lock_around_interval_calls,
  find_knows_deferred,
  find_keeps_tree_locked,
  update_stamps,
  removes_under_driver_lock,
  whole_mm_sequence,
  // drivers/hmm_2019.cpp, drivers/nouveau_2019.cpp: the API of July 2019 and nouveau on it
  invalid_range_is_eagain,
  helper_unlocks_some,
  timeout_is_eagain,
  only_caller_unlocks,
  locked_flag,
  retry_in_helper,
  nonblocking_faults,
  timeout_unregisters,
  success_without_unregister,
  done_after_unlock,
  fault_holds_mm,
  valid_is_a_sequence,
  // drivers/dying_mm.cpp: faults against a process that exits
  no_dying_check,
  dying_check_replaces_mmget,
  dead_is_set_late,
  no_mmgrab,
  down_read_before_check,
  fault_looks_if_dying,
  // drivers/nouveau_today.cpp, device_memory/faults.cpp, notifiers/mm_references.cpp, drivers/amdkfd_retry_fault.cpp:
  // historic bugs
  ebusy_clears_request,
  window_not_clamped,
  error_path_keeps_mm,
  invalidates_one_too_many,
  private_fault_without_ref,
  exclusive_fault_without_ref,
  range_marked_migrated,
  slow_path_read_only,
  other_device_private_fails,
  unmaps_one_page,
  hmm_cleared_first,
  notifier_gets_dead_mm,
  notifier_drops_mm,
  stale_fault_fails,
  // fork/cow.cpp: fork, COW and pins
  fork_shares_pinned,
  madv_dontfork,
  reuse_by_mapcount,
  read_pin_takes_shared,
  read_pin_breaks_cow,
  gup_fast_takes_shared,
  gup_fast_ignores_seq,
  // fork/fork_fences.cpp, fork/fork_pins.cpp: devices and their fences against fork
  device_without_notifier,
  no_device_flush,
  submission_ignores_notifier,
  pins_are_plain_references,
  job_faults_under_its_fence,
  // drivers/amdkfd_range.cpp: XNACK on and off
  no_stale_fault_filter,
  missing_vma_is_reported,
  fault_keeps_vma,
  deferred_work_without_mm,
  deferred_work_keeps_mm,
  flush_under_mmap_lock,
  exit_cancels_under_process_lock,
  eviction_takes_process_lock,
  restore_without_svms_lock,
  resume_despite_eviction,
  // drivers/amdkfd_vram.cpp: ranges in VRAM
  bo_unref_without_lock,
  allocation_waits_for_eviction,
  child_fault_is_refused,
  child_fault_walks_parent,
  acquire_vm_without_lock,
  hole_counts_as_migrated,
  // device_memory/migration.cpp: device-private pages
  close_without_eviction,
  dirty_bit_not_copied,
  lru_add_after_put,
  fault_holds_reference,
  eviction_holds_reference,
  split_forgets_the_fault,
  ptl_dropped_before_flush,
  // drivers/xe_and_mlx5_workers.cpp: workers of xe and mlx5
  failed_rebind_stays_listed,
  destroy_work_queued_twice,
  // fork/pinned_pages.cpp: what has to wait for a pin
  device_pins,
  pins_are_short,
  unpin_does_not_dirty,
  writeback_leaves_held_pages,
  migration_ignores_pins,
  count_
};

inline constexpr int variant_count = static_cast<int>(Variant::count_);
using Variants = std::bitset<static_cast<std::size_t>(variant_count)>;

inline Variants with(std::initializer_list<Variant> list) {
  Variants v;
  for (const Variant each : list) v.set(static_cast<std::size_t>(each));
  return v;
}

// What it changes, in one line.
std::string_view variant_text(Variant variant);

}  // namespace faultline::ref::protocol
