#include "kernels_ref/protocol/drivers/hmm_2019.h"

#include <cerrno>

#include "kernels_ref/protocol/machine/mm_users.h"

namespace faultline::ref::protocol {

namespace {

// Both walk the page table under mmap_sem, after a first look at range->valid.
Task<Snapshot> walk(Kernel k, const char* label, int circumstance) {
  constexpr int codes[] = {1, 0, -EINVAL, -ENOMEM, -EPERM, -EFAULT};
  World& w = k.world();
  const int code = codes[co_await k.choose(label, circumstance & any_error ? 6 : 1)];
  k.needs(Lock::mmap_a);
  if (!w.mm[0].mapped) co_return {-EFAULT, {}};
  // A present entry is taken as it is, even if the range has become invalid meanwhile.
  if (code <= 0) co_return {code, {}};
  co_return {1, w.mm[0].page[0]};
}

}  // namespace

Task<int> hmm_range_register(Kernel k, int circumstance) {
  World& w = k.world();
  if (co_await k.choose("hmm_range_register", circumstance & any_error ? 2 : 1)) co_return -EINVAL;
  if (!mmget_not_zero(k, 0)) co_return -EFAULT;
  if (w.hmm.registered) k.find(Finding::list_corruption);
  k.get(hmm_object);
  w.hmm.registered = 1;
  w.hmm.valid = w.hmm.notifiers == 0;
  w.hmm.collided = 0;
  co_return 0;
}

Task<bool> hmm_range_wait_until_valid(Kernel k, int circumstance) {
  Hmm& hmm = k.world().hmm;
  const bool may_time_out = circumstance & time_runs_out;
  co_await k.until("hmm_range_wait_until_valid", [&hmm, may_time_out] { return hmm.valid || may_time_out; });
  if (!hmm.valid) co_return false;
  hmm.collided = 0;
  co_return true;
}

Task<Snapshot> hmm_range_fault(Kernel k, bool block, int circumstance) {
  World& w = k.world();
  co_await k.step("hmm_range_fault: range->valid?");
  k.needs(Lock::mmap_a);
  if (!w.hmm.valid) {
    if (!k.with(Variant::invalid_range_is_eagain)) co_return {-EBUSY, {}};
    k.read_unlock(Lock::mmap_a);
    co_return {-EAGAIN, {}};
  }
  // FAULT_FLAG_ALLOW_RETRY: handle_mm_fault may drop mmap_sem and say so.
  int dropped = 0;
  if (!block) dropped = co_await k.choose("handle_mm_fault", 2);
  if (dropped) {
    k.read_unlock(Lock::mmap_a);
    co_return {-EAGAIN, {}};
  }
  co_return co_await walk(k, "hmm_range_fault: walk_page_range", circumstance);
}

Task<Snapshot> hmm_range_snapshot(Kernel k, int circumstance) {
  co_await k.step("hmm_range_snapshot: range->valid?");
  k.needs(Lock::mmap_a);
  if (!k.world().hmm.valid) co_return {k.with(Variant::invalid_range_is_eagain) ? -EAGAIN : -EBUSY, {}};
  co_return co_await walk(k, "hmm_range_snapshot: walk_page_range", circumstance);
}

bool hmm_range_valid(Kernel k) {
  const Hmm& hmm = k.world().hmm;
  if (k.with(Variant::no_read_retry)) return true;
  return hmm.valid && !(k.with(Variant::valid_is_a_sequence) && hmm.collided);
}

Task<void> hmm_range_unregister(Kernel k) {
  co_await k.step("hmm_range_unregister: list_del");
  k.world().hmm.registered = 0;
  co_await mmput(k, 0, hmm_release);
  k.put(hmm_object);
  k.world().hmm.valid = 0;
}

Task<void> hmm_invalidate_range_start(Kernel k, Task<void> (*sync)(Kernel)) {
  World& w = k.world();
  co_await k.step("hmm_invalidate_range_start");
  ++w.mm[0].active;
  ++w.hmm.notifiers;
  if (w.hmm.registered) {
    if (!w.hmm.on_stack) k.find(Finding::use_after_free);
    w.hmm.valid = 0;
    w.hmm.collided = 1;
  }
  co_await k.read_lock(Lock::hmm, "hmm_invalidate_range_start: down_read(&hmm->mirrors_sem)");
  co_await sync(k);
  k.read_unlock(Lock::hmm);
}

// notifiers_decrement: all ranges become valid again, whatever they missed.
Task<void> hmm_invalidate_range_end(Kernel k) {
  World& w = k.world();
  co_await k.step("hmm_invalidate_range_end");
  --w.mm[0].active;
  if (--w.hmm.notifiers > 0) co_return;
  if (w.hmm.registered && !w.hmm.on_stack) k.find(Finding::use_after_free);
  if (w.hmm.registered) w.hmm.valid = 1;
}

Task<void> hmm_release(Kernel k) {
  co_await k.read_lock(Lock::hmm, "hmm_release: down_read(&hmm->mirrors_sem)");
  k.read_unlock(Lock::hmm);
}

}  // namespace faultline::ref::protocol
