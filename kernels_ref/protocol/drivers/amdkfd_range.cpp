#include "kernels_ref/protocol/drivers/amdkfd_range.h"

#include "kernels_ref/protocol/machine/mm_users.h"
#include "kernels_ref/protocol/notifiers/mmu_notifier.h"

namespace faultline::ref::protocol {

namespace {

enum Xnack : int { off, on };

// Objects.
constexpr int prange = 0, vma = 1;
// Locks and work by their names in kfd_svm.c.
constexpr Lock svms_lock = Lock::svms, prange_lock = Lock::driver, process_lock = Lock::process;
constexpr Lock deferred_work = Lock::work, restore_work = Lock::work_b;
// Marks of World::count.
constexpr int checkpoint = 0;  // svms->checkpoint_ts, in unmaps
constexpr int on_list = 1;     // prange is on the deferred list
constexpr int gpu_done = 2;
constexpr int evicted_ranges = 3;

constexpr int accesses = 2;  // of the GPU, each by a wave of its own

void mmget(World& w) { ++w.mm[0].users; }
void mmput(World& w) {
  if (--w.mm[0].users) return;
  w.mm[0].dying = 1;
  w.mm[0].count = 0;
}

// --- the notifier ---

// svm_range_evict with XNACK off: the queues must be off the hardware before this returns.
Task<void> quiesce(Kernel k) {
  Device& d = k.world().device[0];
  ++k.world().count[evicted_ranges];
  d.stopping = 1;
  co_await k.until("kgd2kfd_quiesce_mm: queues are evicted", [&d] { return d.busy == 0; });
  k.queue_work(restore_work);
}

enum class Change { clear, unmap };

Task<void> invalidate(Kernel k, Invalidation i, Change change, Xnack xnack) {
  World& w = k.world();
  Device& d = w.device[0];
  if (w.mm[0].users == 0) co_return;  // mmget_not_zero
  mmget(w);
  co_await k.lock(prange_lock, "invalidate: lock(prange->lock)");
  k.use(prange);
  set_seq(k, i);
  if (change == Change::unmap) {  // svm_range_unmap_from_cpu
    ++w.count[checkpoint];
    if (!w.count[on_list]) {
      w.count[on_list] = 1;
      if (!k.with(Variant::deferred_work_without_mm)) mmget(w);
    }
    k.queue_work(deferred_work);
  } else if (xnack == off) {
    if (k.with(Variant::eviction_takes_process_lock)) {
      co_await k.lock(process_lock, "svm_range_evict: lock(process_info->lock)");
      k.unlock(process_lock);
    }
    co_await quiesce(k);
  }
  d.entry[0] = {};
  co_await k.until("svm_range_unmap_from_gpus: TLB flushed", [&d] { return d.busy == 0; });
  k.unlock(prange_lock);
  mmput(w);
}
Task<void> unmap(Kernel k, Invalidation i) { return invalidate(k, i, Change::unmap, on); }
Task<void> clear_on(Kernel k, Invalidation i) { return invalidate(k, i, Change::clear, on); }
Task<void> clear_off(Kernel k, Invalidation i) { return invalidate(k, i, Change::clear, off); }
Callback clear_with(int xnack) { return xnack == on ? clear_on : clear_off; }

// --- validate and map ---

// One pass of svm_range_validate_and_map; false: the pages changed, start over.
Task<bool> validate_and_map(Kernel k) {
  World& w = k.world();
  k.needs(Lock::mmap_a);
  k.needs(svms_lock);
  const int seq = co_await read_begin(k, 0);
  co_await k.step("svm_range_validate_and_map: hmm_range_fault");
  const Page page = w.mm[0].page[0];
  co_await k.lock(prange_lock, "svm_range_lock");
  const bool good = !read_retry(k, 0, seq);
  if (good) w.device[0].entry[0] = page;
  k.unlock(prange_lock);
  co_return good;
}

// svm_range_restore_pages: a retry fault raised after `stamp` unmaps.
Task<void> restore_pages(Kernel k, int stamp) {
  World& w = k.world();
  if (co_await is_dying(k, 0)) co_return;
  co_await k.step("svm_range_restore_pages");
  if (w.mm[0].users == 0) co_return;  // get_task_mm
  mmget(w);
  co_await k.read_lock(Lock::mmap_a);
  const bool found = w.mm[0].mapped;
  if (k.with(Variant::fault_keeps_vma)) {
    k.read_unlock(Lock::mmap_a);
    co_await k.read_lock(Lock::mmap_a);
  }
  co_await k.lock(svms_lock);
  if (found) k.use(vma);
  const bool stale = stamp < w.count[checkpoint] && !k.with(Variant::no_stale_fault_filter);
  // A fault without a VMA is reported to the user, unless munmap has just not reached the range yet.
  const bool going = w.object[prange].life == Object::Life::live && !k.with(Variant::missing_vma_is_reported);
  if (!stale && !found && !going) k.find(Finding::wrong_result);
  if (!stale && found) {
    while (!co_await validate_and_map(k)) {}
  }
  k.unlock(svms_lock);
  k.read_unlock(Lock::mmap_a);
  mmput(w);
}

// --- work ---

// svm_range_list_lock_and_flush_work: returns with the mmap lock held for writing and the list empty.
Task<void> list_lock_and_flush_work(Kernel k) {
  World& w = k.world();
  while (true) {  // again each time that the list has filled again
    const bool locked_first = k.with(Variant::flush_under_mmap_lock);
    if (locked_first) co_await k.lock(Lock::mmap_a);
    co_await k.flush_work(deferred_work, "svm_range_list_lock_and_flush_work: flush_work");
    if (!locked_first) co_await k.lock(Lock::mmap_a);
    if (!w.count[on_list]) co_return;
    k.unlock(Lock::mmap_a);
  }
}

Task<void> deferred_list_work(Kernel k, int) {
  World& w = k.world();
  while (true) {
    co_await k.until("svm_range_deferred_list_work", [&w] { return w.work[0].queued != 0; });
    k.begin_work(deferred_work);
    if (w.count[on_list]) {
      co_await k.step("svm_range_deferred_list_work: mm of the range");
      if (w.mm[0].count == 0) k.find(Finding::use_after_free);
      co_await k.lock(Lock::mmap_a);
      w.count[on_list] = 0;
      co_await k.lock(svms_lock);
      co_await remove(k, 0);
      k.put(prange);
      k.unlock(svms_lock);
      k.unlock(Lock::mmap_a);
      if (!k.with(Variant::deferred_work_without_mm) && !k.with(Variant::deferred_work_keeps_mm)) mmput(w);
    }
    k.end_work(deferred_work);
  }
}

Task<void> restore_worker(Kernel k, int) {
  World& w = k.world();
  Device& d = w.device[0];
  while (true) {
    co_await k.until("svm_range_restore_work", [&w] { return w.work[1].queued != 0; });
    k.begin_work(restore_work);
    if (w.mm[0].users) {
      mmget(w);
      co_await k.lock(process_lock, "svm_range_restore_work: lock(process_info->lock)");
      co_await list_lock_and_flush_work(k);
      const bool locked = !k.with(Variant::restore_without_svms_lock);
      if (locked) co_await k.lock(svms_lock);
      const int evicted = w.count[evicted_ranges];
      if (w.object[prange].life == Object::Life::live && w.mm[0].mapped)
        while (!co_await validate_and_map(k)) {}
      co_await k.step("svm_range_restore_work: cmpxchg(evicted_ranges), kgd2kfd_resume_mm");
      if (w.count[evicted_ranges] == evicted || k.with(Variant::resume_despite_eviction)) {
        w.count[evicted_ranges] = 0;
        d.stopping = 0;
      } else {
        k.queue_work(restore_work);
      }
      if (locked) k.unlock(svms_lock);
      k.unlock(Lock::mmap_a);
      k.unlock(process_lock);
      mmput(w);
    }
    k.end_work(restore_work);
  }
}

// --- the GPU ---

// Begins in the step that has translated.
Task<void> gpu_access(Kernel k) {
  World& w = k.world();
  Device& d = w.device[0];
  d.busy = d.entry[0].frame;
  co_await k.step("GPU: the access lands");
  if (d.busy != w.mm[0].page[0].frame) k.find(Finding::wrong_page);
  d.busy = 0;
}

Task<void> gpu_retries(Kernel k, int) {
  World& w = k.world();
  Device& d = w.device[0];
  d.queued = accesses;  // a fault for each wave
  for (int i = 0; i < accesses; ++i) {
    while (true) {
      co_await k.until("GPU: translate", [&d] { return d.entry[0].frame || !d.queued; });
      if (d.entry[0].frame) break;
      d.queued = 1;  // nothing was mapped, or it has gone again: another fault
    }
    co_await gpu_access(k);
  }
  w.count[gpu_done] = 1;
}

Task<void> gpu_queue(Kernel k, int) {
  Device& d = k.world().device[0];
  for (int i = 0; i < accesses; ++i) {
    co_await k.until("GPU: the queue runs", [&d] { return !d.stopping; });
    if (d.entry[0].frame) co_await gpu_access(k);
    else k.find(Finding::wrong_result);  // a fault from which there is no way back
  }
  k.world().count[gpu_done] = 1;
}

// The interrupt ring is served in order, a fault at a time.
Task<void> interrupt_handler(Kernel k, int) {
  World& w = k.world();
  while (true) {
    co_await k.until("IH: a retry fault", [&w] { return w.device[0].queued != 0; });
    const int stamp = 0;  // all are raised before the unmap
    co_await restore_pages(k, stamp);
    --w.device[0].queued;
  }
}

// --- the process ---

Task<void> process(Kernel k, int xnack) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  co_await k.step("process: stores to a page that it shares");
  co_await k.read_lock(Lock::mmap_a);
  co_await invalidate_range_start(k, 0, 0, 0, clear_with(xnack));
  co_await k.step("wp_page_copy: set the PTE");
  ++pte.frame;
  co_await invalidate_range_end(k, 0);
  k.read_unlock(Lock::mmap_a);

  co_await k.until("process: clFinish", [&w] { return w.count[gpu_done] != 0; });
  co_await k.lock(Lock::mmap_a, "munmap: mmap_write_lock");
  w.mm[0].mapped = 0;
  k.downgrade(Lock::mmap_a);
  co_await invalidate_range_start(k, 0, 0, 0, unmap);
  co_await k.step("munmap: zap");
  pte = {};
  co_await invalidate_range_end(k, 0);
  k.free(vma);
  k.read_unlock(Lock::mmap_a);
  co_await k.step("exit");
  mmput(w);
  k.returns();
}

// The kernel moves the page by itself: reclaim, compaction.
Task<void> mover(Kernel k, int xnack) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  co_await k.step("migrate_pages");
  if (!pte.frame) co_return;
  co_await invalidate_range_start(k, 0, 0, 0, clear_with(xnack));
  co_await k.step("try_to_migrate: move the page");
  if (pte.frame) ++pte.frame;
  co_await invalidate_range_end(k, 0);
  k.returns();
}

// kfd_process_wq_release: svm_range_list_fini.
Task<void> release(Kernel k, int) {
  World& w = k.world();
  co_await k.until("kfd_process_wq_release", [&w] { return w.mm[0].dying != 0; });
  const bool locked = k.with(Variant::exit_cancels_under_process_lock);
  if (locked) co_await k.lock(process_lock, "svm_range_list_fini: lock(process_info->lock)");
  co_await k.cancel_work_sync(restore_work, "svm_range_list_fini: cancel_delayed_work_sync");
  k.work_of(restore_work).queued = 0;
  co_await k.flush_work(deferred_work, "svm_range_list_fini: flush_work");
  if (locked) k.unlock(process_lock);
  k.returns();
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].seq = 2;
  w.mm[0].page[0] = {1, 1};
  w.subscription[0] = {.in_tree = 1, .seq = 1};
  w.object[prange] = w.object[vma] = {Object::Life::live, 1};
}
void start_mapped(World& w) {
  start(w);
  w.device[0].entry[0] = w.mm[0].page[0];
}

void nothing_is_left(World& w) {
  if (w.mm[0].users || w.object[prange].life == Object::Life::live) w.findings |= bit(Finding::leak);
}

}  // namespace

Protocol amdkfd_xnack_on() {
  return {.name = "amdkfd, XNACK on",
          .threads = {{"process", process, on},
                      {"mover", mover, on},
                      {"GPU", gpu_retries},
                      {"IH", interrupt_handler, 0, true},
                      {"deferred list", deferred_list_work, 0, true},
                      {"release", release, 0, true}},
          .start = start,
          .at_end = nothing_is_left};
}

Protocol amdkfd_xnack_off() {
  return {.name = "amdkfd, XNACK off",
          .threads = {{"process", process, off},
                      {"mover", mover, off},
                      {"GPU", gpu_queue},
                      {"restore", restore_worker, 0, true},
                      {"deferred list", deferred_list_work, 0, true},
                      {"release", release, 0, true}},
          .start = start_mapped,
          .at_end = nothing_is_left};
}

}  // namespace faultline::ref::protocol
