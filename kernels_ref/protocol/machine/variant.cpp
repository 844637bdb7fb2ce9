#include "kernels_ref/protocol/machine/variant.h"

#include <array>

namespace faultline::ref::protocol {

namespace {

struct Row {
  Variant variant;
  std::string_view text;
};

// In the order of Variant.
// clang-format off
constexpr Row rows[] = {
    {Variant::no_read_retry, "the driver programs the device without mmu_interval_read_retry"},
    {Variant::callback_does_not_stamp, "invalidate() does not call mmu_interval_set_seq"},
    {Variant::callback_without_lock, "invalidate() does not take the driver's lock"},
    {Variant::read_begin_does_not_wait, "mmu_interval_read_begin does not wait for a running invalidation"},
    {Variant::first_end_completes, "the first of several invalidate_range_end moves the sequence on, not the last"},
    {Variant::programs_before_lock, "the driver programs the device before it takes its lock and looks at the sequence"},
    {Variant::changes_without_notification, "a PTE is changed with no invalidate_range_start and _end around it"},
    {Variant::remove_waits_without_lock, "mmu_interval_notifier_remove looks at the sequence without subscriptions->lock"},
    {Variant::unregisters_what_failed, "the driver removes a notifier whose insert failed"},
    {Variant::failed_trylock_keeps_count, "a start that cannot have its lock without sleeping leaves its count of invalidations raised"},
    {Variant::failed_start_keeps_rwsem, "a start that fails with -EAGAIN keeps the rwsem that its end would release"},
    {Variant::failed_start_ends_nobody, "when one notifier's start fails, those that had started get no end"},
    {Variant::frees_before_grace_period, "a notifier is freed without waiting for the SRCU readers of its list"},
    {Variant::clears_mm_hmm_first, "mm->hmm is cleared before the notifier is unregistered"},
    {Variant::unregisters_from_current_mm, "close() unregisters from the mm of who closes, not of who opened"},
    {Variant::driver_lock_around_interval_calls, "the driver holds its lock around every mmu_interval_* call, and as long as it uses what find gave"},
    {Variant::find_knows_deferred, "mmu_interval_notifier_find and the accessors answer as if the deferred list had been applied"},
    {Variant::find_keeps_tree_locked, "mmu_interval_notifier_find leaves the tree in its read lock state until the caller is done"},
    {Variant::update_stamps, "mmu_interval_notifier_update sets the subscription's sequence as insert does"},
    {Variant::removes_under_driver_lock, "the driver calls mmu_interval_notifier_remove, not _put, under its lock"},
    {Variant::whole_mm_sequence, "read_begin waits for every invalidation of the mm, and read_retry sees every one"},
    {Variant::invalid_range_is_eagain, "before patch 1/6: an invalid range is -EAGAIN, and hmm_range_fault drops mmap_sem for it"},
    {Variant::helper_unlocks_some, "before patch 4/6: nouveau_range_fault unlocks mmap_sem for some errors, its caller always"},
    {Variant::timeout_is_eagain, "before patch 5/6: nouveau_range_fault returns -EAGAIN where the wait for a valid range times out"},
    {Variant::only_caller_unlocks, "the reviewer's alternative to patch 4/6: nouveau_range_fault never unlocks mmap_sem, its caller "
     "always"},
    {Variant::locked_flag, "nouveau knows whether mmap_sem is held, as GUP does by `int *locked`, and unlocks it only then"},
    {Variant::retry_in_helper, "the reviewer's wish: every result is checked under svmm->mutex, and retried, in nouveau_range_fault"},
    {Variant::nonblocking_faults, "nouveau asks for faults that may drop mmap_sem (block = false)"},
    {Variant::timeout_unregisters, "nouveau_range_fault unregisters the range where the wait for it times out"},
    {Variant::success_without_unregister, "nouveau_range_done does not unregister the range"},
    {Variant::done_after_unlock, "where it succeeds, nouveau unregisters the range after svmm->mutex and mmap_sem are released"},
    {Variant::fault_holds_mm, "nouveau_svm_fault holds mm_users itself from before mmap_sem to after it"},
    {Variant::valid_is_a_sequence, "hmm_range_valid also tells an invalidation that has begun and ended since"},
    {Variant::no_dying_check, "hmm_mirror_mm_down_read does not look whether the mm is dying"},
    {Variant::dying_check_replaces_mmget, "a fault counts on hmm->dead alone: it takes mm_users without looking whether they are 0"},
    {Variant::dead_is_set_late, "hmm->dead is set when the address space has been torn down, not before"},
    {Variant::no_mmgrab, "struct hmm holds no reference to struct mm_struct"},
    {Variant::down_read_before_check, "hmm_mirror_mm_down_read takes mmap_sem first and returns -EINVAL with it"},
    {Variant::fault_looks_if_dying, "a driver's fault handler looks, without a lock, whether the mm is dying, and gives up if so"},
    {Variant::ebusy_clears_request, "hmm_range_fault forgets that a write was asked for when it returns -EBUSY"},
    {Variant::window_not_clamped, "a fault window that begins below the VMA is given to hmm_range_fault as it is"},
    {Variant::error_path_keeps_mm, "nouveau_svm_fault does not mmput where there is no VMA"},
    {Variant::invalidates_one_too_many, "an invalidation drops end - start + 1 pages of an exclusive end"},
    {Variant::private_fault_without_ref, "a CPU fault on a device-private page takes no reference to it"},
    {Variant::exclusive_fault_without_ref, "a CPU fault on a device-exclusive page takes no reference to it"},
    {Variant::range_marked_migrated, "a range is marked as in system memory although some of its pages stayed in VRAM"},
    {Variant::slow_path_read_only, "a page that comes back to system memory by the slow path is mapped read-only"},
    {Variant::other_device_private_fails, "a fault on a page in another device's memory is an error instead of bringing it back"},
    {Variant::unmaps_one_page, "dma_unmap_page is told PAGE_SIZE for a larger mapping"},
    {Variant::hmm_cleared_first, "hmm_mirror_unregister clears mm->hmm before it unregisters the notifier"},
    {Variant::notifier_gets_dead_mm, "a notifier takes mm_users for its deferred work without looking whether they are 0"},
    {Variant::notifier_drops_mm, "a notifier calls mmput itself"},
    {Variant::stale_fault_fails, "a retry fault that finds no VMA fails although its page is still mapped on the device"},
    {Variant::fork_shares_pinned, "fork shares a pinned page with the child instead of copying it"},
    {Variant::madv_dontfork, "the range is MADV_DONTFORK: the child has a hole there"},
    {Variant::reuse_by_mapcount, "a write takes a page over that is mapped once, whoever else holds it"},
    {Variant::read_pin_takes_shared, "a pin for reading takes the page that is there, shared or not"},
    {Variant::read_pin_breaks_cow, "a pin for reading breaks COW as a write would (17839856fd58)"},
    {Variant::gup_fast_takes_shared, "GUP-fast takes a shared page as it is"},
    {Variant::gup_fast_ignores_seq, "GUP-fast does not look at write_protect_seq"},
    {Variant::device_without_notifier, "the device has no notifier, and its pages are not pinned"},
    {Variant::no_device_flush, "invalidate() drops entries without flushing the device's TLB (94e25cb6ab7f)"},
    {Variant::submission_ignores_notifier, "jobs are submitted while a notifier runs"},
    {Variant::pins_are_plain_references, "the device holds its pages by plain references (FOLL_GET)"},
    {Variant::job_faults_under_its_fence, "a job takes a page fault before it signals its fence"},
    {Variant::no_stale_fault_filter, "retry faults of before an unmap are not told by their time stamp"},
    {Variant::missing_vma_is_reported, "a retry fault without a VMA is an error though the notifier has yet to run (0cc53cb45066)"},
    {Variant::fault_keeps_vma, "the fault handler keeps a VMA pointer while it drops the mmap lock and takes it again"},
    {Variant::deferred_work_without_mm, "the deferred list does not hold the mm (cda0817b41bd)"},
    {Variant::deferred_work_keeps_mm, "the deferred list takes an mm reference that it does not drop (367c9b0f1b87)"},
    {Variant::flush_under_mmap_lock, "deferred work is flushed with the mmap lock held"},
    {Variant::exit_cancels_under_process_lock, "exit cancels the restore work with process_info->lock held"},
    {Variant::eviction_takes_process_lock, "eviction with XNACK off takes process_info->lock in the notifier"},
    {Variant::restore_without_svms_lock, "the restore worker maps a range without svms->lock"},
    {Variant::resume_despite_eviction, "the restore worker resumes queues that were evicted again meanwhile"},
    {Variant::bo_unref_without_lock, "svm_bo is looked at and let go without prange->lock"},
    {Variant::allocation_waits_for_eviction, "an allocation waits for an eviction fence with the mmap lock held (25f0b322ffb5)"},
    {Variant::child_fault_is_refused, "a CPU fault of a child on its parent's VRAM is an error"},
    {Variant::child_fault_walks_parent, "a CPU fault of a child walks the parent's VMAs without their lock"},
    {Variant::acquire_vm_without_lock, "whether a VM is taken is asked and answered without a lock"},
    {Variant::hole_counts_as_migrated, "a hole in a range leaves the result of its migration uninitialised"},
    {Variant::close_without_eviction, "a device file is closed with pages still in its memory (744dd97752ef)"},
    {Variant::dirty_bit_not_copied, "collecting for migration drops the PTE's dirty bit (fd35ca3d12cc)"},
    {Variant::lru_add_after_put, "migration puts a page onto the LRU after its last reference has gone"},
    {Variant::fault_holds_reference, "a CPU fault sleeps for a device page's lock with a reference on it (1afaeb8293c9)"},
    {Variant::eviction_holds_reference, "eviction by frame number sleeps for the page's lock with a reference on it (c4126f1db36e)"},
    {Variant::split_forgets_the_fault, "a split does not expect the reference of the fault that asks for it"},
    {Variant::ptl_dropped_before_flush, "collecting for migration drops the page-table lock before the TLB flush (60bae7370896)"},
    {Variant::failed_rebind_stays_listed, "a userptr whose pages are gone stays on the rebind list"},
    {Variant::destroy_work_queued_twice, "each invalidation that finds a region empty queues its destruction"},
    {Variant::device_pins, "the device pins its pages and has no notifier"},
    {Variant::pins_are_short, "whoever pins drops the pin after a bounded time"},
    {Variant::unpin_does_not_dirty, "unpinning does not set the page dirty"},
    {Variant::writeback_leaves_held_pages, "writeback leaves a page with more references than mappings"},
    {Variant::migration_ignores_pins, "migration does not look for other references"},
};
// clang-format on

constexpr bool in_order() {
  for (int i = 0; i < variant_count; ++i)
    if (static_cast<int>(rows[i].variant) != i) return false;
  return std::size(rows) == variant_count;
}
static_assert(in_order());

}  // namespace

std::string_view variant_text(Variant variant) { return rows[static_cast<int>(variant)].text; }

}  // namespace faultline::ref::protocol
