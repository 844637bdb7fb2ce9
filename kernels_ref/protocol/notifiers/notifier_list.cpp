#include "kernels_ref/protocol/notifiers/notifier_list.h"

#include "kernels_ref/protocol/notifiers/mmu_notifier.h"

namespace faultline::ref::protocol {

namespace {

// --- nonblocking_invalidation ---

constexpr int counting = 0, rwsem = 1;  // the two notifiers
constexpr int notifiers = 0;            // World::count: hmm->notifiers

// hmm_invalidate_range_start of July 2019; mirrors_sem is Lock::hmm.
Task<bool> counting_start(Kernel k) {
  co_await k.step("hmm_invalidate_range_start: ++notifiers");
  ++k.world().count[notifiers];
  co_await k.step("hmm_invalidate_range_start: down_read_trylock(mirrors_sem)");
  if (k.try_read_lock(Lock::hmm)) {
    k.read_unlock(Lock::hmm);
    co_return true;
  }
  if (!k.with(Variant::failed_trylock_keeps_count)) --k.world().count[notifiers];
  co_return false;
}

// ib_umem_notifier_invalidate_range_start; umem_rwsem is Lock::driver.
Task<bool> rwsem_start(Kernel k) {
  co_await k.step("invalidate_range_start: down_read_trylock(umem_rwsem)");
  if (!k.try_read_lock(Lock::driver)) co_return false;
  const int must_sleep = co_await k.choose("invalidate_range_start: each umem of the range", 2);
  if (must_sleep && !k.with(Variant::failed_start_keeps_rwsem)) k.read_unlock(Lock::driver);
  co_return !must_sleep;
}

void notifier_end(Kernel k, int which) {
  if (which == counting) --k.world().count[notifiers];
  else k.read_unlock(Lock::driver);
}

// mn_hlist_invalidate_range_start: calls all notifiers even if one fails. Then those that had started get their end.
Task<bool> nonblocking_start(Kernel k) {
  co_await k.read_lock(Lock::srcu);
  const bool first = co_await counting_start(k);
  const bool second = co_await rwsem_start(k);
  if (!(first && second) && !k.with(Variant::failed_start_ends_nobody)) {
    co_await k.step("mn_hlist_invalidate_range_start: end for who had started");
    if (first) notifier_end(k, counting);
    if (second) notifier_end(k, rwsem);
  }
  k.read_unlock(Lock::srcu);
  co_return first&& second;
}

Task<void> oom_reaper(Kernel k, int) {
  const bool started = co_await nonblocking_start(k);
  if (started) {
    co_await k.step("__oom_reap_task_mm: unmap_page_range");
    for (const int each : {counting, rwsem}) {
      co_await k.step("invalidate_range_end");
      notifier_end(k, each);
    }
  }
  k.returns();
}

Task<void> mirror_register(Kernel k, int) {
  co_await k.step("ioctl: registers a mirror");
  co_await k.lock(Lock::hmm, "hmm_mirror_register: down_write(mirrors_sem)");
  co_await k.step("hmm_mirror_register");
  k.unlock(Lock::hmm);
  k.returns();
}

Task<void> umem_get(Kernel k, int) {
  co_await k.step("ioctl: registers memory");
  co_await k.lock(Lock::driver, "ib_umem_odp_get: down_write(umem_rwsem)");
  co_await k.step("ib_umem_odp_get");
  k.unlock(Lock::driver);
  k.returns();
}

Task<void> device_fault(Kernel k, int) {
  const std::uint8_t& running = k.world().count[notifiers];
  co_await k.until("hmm_range_wait_until_valid", [&running] { return running == 0; });
  k.returns();
}

// --- unregister_against_walk ---

constexpr int hmm_object = 0;
constexpr int mm_hmm = 0;  // World::count: mm->hmm is set

Task<void> walker(Kernel k, int) {
  World& w = k.world();
  co_await k.read_lock(Lock::srcu);
  if (w.mm[0].listed) {
    co_await k.step("hmm_invalidate_range_start: hmm = mm->hmm");
    if (!w.count[mm_hmm]) k.find(Finding::use_after_free);
    co_await k.step("hmm_invalidate_range_start: mirrors");
    k.use(hmm_object);
  }
  k.read_unlock(Lock::srcu);
  k.returns();
}

// mmu_notifier_unregister(&hmm->mmu_notifier, mm).
Task<void> unregister(Kernel k, int mm) {
  World& w = k.world();
  co_await section(k, "mmu_notifier_unregister: hlist_del_init_rcu");
  w.mm[0].listed = 0;  // the list that the node is on, whatever mm was given
  if (!k.with(Variant::frees_before_grace_period)) {
    co_await k.lock(Lock::srcu);
    k.unlock(Lock::srcu);
  }
  co_await k.step("mmu_notifier_unregister: mmdrop");
  --w.mm[mm].count;
}

Task<void> closer(Kernel k, int) {
  World& w = k.world();
  const bool first = k.with(Variant::clears_mm_hmm_first);
  if (first) {
    co_await k.step("hmm_free: mm->hmm = NULL");
    w.count[mm_hmm] = 0;
  }
  co_await unregister(k, k.with(Variant::unregisters_from_current_mm) ? 1 : 0);
  if (!first) {
    co_await k.step("hmm_free: mm->hmm = NULL");
    w.count[mm_hmm] = 0;
  }
  co_await k.step("hmm_free: kfree");
  k.free(hmm_object);
  k.returns();
}

// The registration holds one mm_count of the first mm beside the mm's own.
void start_listed(World& w) {
  for (Mm& mm : w.mm) mm.users = mm.count = 1;
  ++w.mm[0].count;
  w.mm[0].listed = 1;
  w.count[mm_hmm] = 1;
  w.object[hmm_object] = {Object::Life::live, 1};
}

void counts_are_even(World& w) {
  for (const Mm& mm : w.mm)
    if (mm.count != 1) w.findings |= bit(mm.count > 1 ? Finding::leak : Finding::double_free);
  if (w.object[hmm_object].life != Object::Life::freed) w.findings |= bit(Finding::leak);
}

// --- remove_against_end, insert_against_exit ---

Task<void> stamp(Kernel k, Invalidation i) {
  co_await k.lock(Lock::driver, "invalidate: lock(driver)");
  set_seq(k, i);
  k.unlock(Lock::driver);
}

Task<void> invalidator(Kernel k, int) {
  co_await invalidate_range_start(k, 0, 0, 0, stamp);
  co_await k.step("change the PTE");
  co_await invalidate_range_end(k, 0);
  k.returns();
}

Task<void> remover(Kernel k, int subscription) {
  co_await remove(k, subscription);
  co_await k.step("kfree, after mmu_interval_notifier_remove");
  k.free(k.world().subscription[subscription].holder - 1);
  k.returns();
}

void start_inserted(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].seq = 2;
  w.object[0] = {Object::Life::live, 1};
  w.subscription[0] = {.holder = 1, .in_tree = 1, .seq = 1};
}

Task<void> exiting(Kernel k, int) {
  co_await k.step("exit_mm: mmput");
  --k.world().mm[0].users;
  k.returns();
}

Task<void> registering(Kernel k, int subscription) {
  const bool inserted = co_await insert(k, subscription, 0, 0, 0);
  if (inserted || k.with(Variant::unregisters_what_failed)) co_await remove(k, subscription);
  k.free(k.world().subscription[subscription].holder - 1);
  k.returns();
}

void start_uninserted(World& w) {
  start_inserted(w);
  w.subscription[0] = {.holder = 1};
}

}  // namespace

Protocol nonblocking_invalidation() {
  return {.name = "non-blocking invalidation",
          .threads = {{"OOM reaper", oom_reaper}, {"mirror", mirror_register}, {"umem", umem_get}, {"fault", device_fault}}};
}

Protocol unregister_against_walk() {
  return {.name = "unregister against a walk of the list",
          .threads = {{"invalidator", walker}, {"closer", closer}},
          .start = start_listed,
          .at_end = counts_are_even};
}

Protocol remove_against_end() {
  return {.name = "remove against the end of an invalidation",
          .threads = {{"invalidator", invalidator}, {"other invalidator", invalidator}, {"remover", remover}},
          .start = start_inserted};
}

Protocol insert_against_exit() {
  return {.name = "insert against exit", .threads = {{"exit", exiting}, {"driver", registering}}, .start = start_uninserted};
}

}  // namespace faultline::ref::protocol
