#include "kernels_ref/protocol/notifiers/mm_references.h"

#include "kernels_ref/protocol/machine/mm_users.h"

namespace faultline::ref::protocol {

namespace {

constexpr int hmm = 0;            // struct hmm
constexpr int address_space = 0;  // VMAs and page tables, until exit_mmap has finished

Task<void> unlink_notifier(Kernel k) {
  co_await k.step("mmu_notifier_unregister_no_release: hlist_del");
  k.world().subscription[0].in_tree = 0;
  co_await k.lock(Lock::srcu, "mmu_notifier_unregister_no_release: synchronize_srcu");
  k.unlock(Lock::srcu);
}

Task<void> unregister(Kernel k, int) {
  const bool clear_first = k.with(Variant::hmm_cleared_first);
  if (!clear_first) co_await unlink_notifier(k);
  co_await k.step("hmm_mirror_unregister: mm->hmm = NULL");
  k.world().hmm.linked = 0;
  if (clear_first) co_await unlink_notifier(k);
  k.free(hmm);
}

Task<void> invalidate(Kernel k, int) {
  const World& w = k.world();
  co_await k.read_lock(Lock::srcu);
  if (w.subscription[0].in_tree) {
    co_await k.step("hmm_invalidate_range_start: hmm = mm->hmm");
    if (w.hmm.linked) k.use(hmm);
    else k.find(Finding::null_pointer);
  }
  k.read_unlock(Lock::srcu);
  k.returns();
}

void registered(World& w) {
  w.subscription[0].in_tree = 1;
  w.hmm.linked = 1;
  w.object[hmm] = {Object::Life::live, 1};
}

Task<void> free_pgtables(Kernel k) {
  co_await k.lock(Lock::rmap, "free_pgtables: anon_vma_lock_write");
  k.unlock(Lock::rmap);
}

Task<void> mmput_and_free(Kernel k) {
  const bool last = co_await mmput(k, 0, free_pgtables);
  if (last) k.free(address_space);
}

// svm_range_cpu_invalidate_pagetables
Task<void> notifier(Kernel k) {
  co_await k.step("svm_range_cpu_invalidate_pagetables: mmget_not_zero");
  Mm& mm = k.world().mm[0];
  if (mm.users == 0 && !k.with(Variant::notifier_gets_dead_mm)) co_return;
  const bool own = k.with(Variant::notifier_drops_mm);
  mm.users = static_cast<std::uint8_t>(mm.users + (own ? 2 : 1));
  co_await k.step("svm_range_add_list_work: schedule_work");
  k.queue_work(Lock::work);
  if (own) co_await mmput_and_free(k);
}

Task<void> compact(Kernel k, int) {
  co_await k.read_lock(Lock::rmap, "rmap_walk: anon_vma_lock_read");
  co_await notifier(k);
  k.read_unlock(Lock::rmap);
  k.returns();
}

Task<void> deferred(Kernel k, int) {
  const Work& work = k.work_of(Lock::work);
  co_await k.until("worker: idle", [&work] { return work.queued; });
  k.begin_work(Lock::work);
  co_await k.lock(Lock::mmap_a, "svm_range_deferred_list_work: mmap_write_lock");
  k.use(address_space);
  k.unlock(Lock::mmap_a);
  k.end_work(Lock::work);
  co_await mmput_and_free(k);
  k.returns();
}

Task<void> exit_process(Kernel k, int) {
  co_await mmput_and_free(k);
  k.returns();
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.object[address_space] = {Object::Life::live, 1};
}

void nothing_left(World& w) {
  if (w.mm[0].users > 0 || w.object[address_space].life != Object::Life::freed) w.findings |= bit(Finding::leak);
}

}  // namespace

Protocol mirror_unregister() {
  return {.name = "hmm_mirror_unregister",
          .threads = {{"unregister", unregister}, {"invalidation", invalidate}, {"invalidation", invalidate}},
          .start = registered};
}

Protocol deferred_list_work() {
  return {.name = "a notifier's deferred work and mm_users",
          .threads = {{"compaction", compact}, {"worker", deferred, 0, true}, {"exit", exit_process}},
          .start = start,
          .at_end = nothing_left};
}

}  // namespace faultline::ref::protocol
