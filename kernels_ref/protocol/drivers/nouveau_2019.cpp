#include "kernels_ref/protocol/drivers/nouveau_2019.h"

#include <cerrno>

#include "kernels_ref/protocol/machine/error.h"
#include "kernels_ref/protocol/machine/mm_users.h"

namespace faultline::ref::protocol {

namespace {

// Record::result of the fault worker, of its latest fault.
enum : int { where, code, mmap_sem, end };
enum Where : std::uint8_t { nowhere, registering, waiting, faulting, mapping };
enum MmapSem : std::uint8_t { unlocked_once, unlocked_twice, leaked };
enum End : std::uint8_t { open, mapped, cancelled };

// An argument of a worker: circumstances, and how many faults its window holds.
constexpr int window(int faults, int circumstance) { return circumstance | faults << 4; }

void up_read(Kernel k) {
  if (!k.holds(Lock::mmap_a) && k.with(Variant::locked_flag)) return;
  if (!k.holds(Lock::mmap_a)) k.record().result[mmap_sem] = unlocked_twice;
  k.read_unlock(Lock::mmap_a);
}

int returns_from(Kernel k, Where place, int ret) {
  k.record().result[where] = place;
  k.record().result[code] = static_cast<std::uint8_t>(-ret);
  return ret;
}

Task<bool> nouveau_range_done(Kernel k) {
  const bool valid = hmm_range_valid(k);
  const bool later = valid && k.with(Variant::done_after_unlock);
  if (!later && !k.with(Variant::success_without_unregister)) co_await hmm_range_unregister(k);
  co_return valid;
}

// Called with mmap_sem held. This was hmm_vma_fault until patch 2/6 moved it here unchanged.
Task<Snapshot> nouveau_range_fault(Kernel k, int circumstance) {
  const bool only_caller = k.with(Variant::only_caller_unlocks);
  const bool some = k.with(Variant::helper_unlocks_some);
  if (const int ret = co_await hmm_range_register(k, circumstance)) {
    if (!some && !only_caller) up_read(k);
    co_return {returns_from(k, registering, ret), {}};
  }
  if (!co_await hmm_range_wait_until_valid(k, circumstance)) {
    if (!only_caller) up_read(k);
    if (k.with(Variant::timeout_unregisters)) co_await hmm_range_unregister(k);
    co_return {returns_from(k, waiting, k.with(Variant::timeout_is_eagain) ? -EAGAIN : -EBUSY), {}};
  }
  const Snapshot got = co_await hmm_range_fault(k, !k.with(Variant::nonblocking_faults), circumstance);
  if (got.result <= 0) {
    const bool unlock = some ? got.result == -EBUSY || got.result == 0 : !only_caller;
    if (unlock) up_read(k);
    co_await hmm_range_unregister(k);
    returns_from(k, faulting, got.result);
    co_return {got.result == 0 ? -EBUSY : got.result, {}};
  }
  co_return {returns_from(k, mapping, 0), got.seen};
}

// The reviewer's wish: `goto again` moves in here, and errors too count only after a check under svmm->mutex.
// Called with mmap_sem held. Returns 0 with mmap_sem and svmm->mutex held, anything else with neither.
Task<Snapshot> nouveau_range_fault_whole(Kernel k, int circumstance) {
  while (true) {
    if (const int ret = co_await hmm_range_register(k, circumstance)) {
      up_read(k);
      co_return {returns_from(k, registering, ret), {}};
    }
    if (!co_await hmm_range_wait_until_valid(k, circumstance)) {
      up_read(k);
      co_await hmm_range_unregister(k);
      co_return {returns_from(k, waiting, -EBUSY), {}};
    }
    const Snapshot got = co_await hmm_range_fault(k, !k.with(Variant::nonblocking_faults), circumstance);
    co_await k.lock(Lock::driver, "nouveau_range_fault: mutex_lock(&svmm->mutex)");
    if (!co_await nouveau_range_done(k)) {
      k.unlock(Lock::driver);
      continue;
    }
    if (got.result > 0) co_return {returns_from(k, mapping, 0), got.seen};
    k.unlock(Lock::driver);
    up_read(k);
    if (k.with(Variant::done_after_unlock)) co_await hmm_range_unregister(k);
    returns_from(k, faulting, got.result);
    co_return {got.result == 0 ? -EBUSY : got.result, {}};
  }
}

Task<void> one_fault(Kernel k, int circumstance) {
  World& w = k.world();
  const bool whole = k.with(Variant::retry_in_helper);
  const bool caller_always = k.with(Variant::helper_unlocks_some) || k.with(Variant::only_caller_unlocks);
  co_await k.read_lock(Lock::mmap_a, "nouveau_svm_fault: down_read(&svmm->mm->mmap_sem)");
  if (!w.mm[0].mapped) {  // find_vma_intersection
    up_read(k);
    co_return;
  }
  Snapshot fault{};
  while (true) {  // again:
    fault.result = 0;
    if (whole) fault = co_await nouveau_range_fault_whole(k, circumstance);
    else fault = co_await nouveau_range_fault(k, circumstance);
    if (fault.result) break;
    if (!whole) {
      co_await k.lock(Lock::driver, "nouveau_svm_fault: mutex_lock(&svmm->mutex)");
      if (!co_await nouveau_range_done(k)) {
        k.unlock(Lock::driver);
        continue;
      }
    }
    co_await k.step("nouveau_svm_fault: nvif_object_ioctl");
    k.needs(Lock::driver);
    w.device[0].entry[0] = fault.seen;
    k.unlock(Lock::driver);
    if (!caller_always) up_read(k);
    break;
  }
  if (caller_always) up_read(k);
  if (fault.result == 0 && k.with(Variant::done_after_unlock)) co_await hmm_range_unregister(k);
  k.record().result[end] = fault.result ? cancelled : mapped;
}

Task<void> nouveau_svm_fault(Kernel k, int argument) {
  Hmm& hmm = k.world().hmm;
  for (int fault = 0; fault < argument >> 4; ++fault) {
    hmm.on_stack = 1;
    const bool holds_mm = k.with(Variant::fault_holds_mm);
    if (holds_mm) {
      co_await k.step("nouveau_svm_fault: mmget_not_zero");
      if (!mmget_not_zero(k, 0)) break;
    }
    co_await one_fault(k, argument & 15);
    if (k.holds(Lock::mmap_a)) k.record().result[mmap_sem] = leaked;
    k.returns();
    if (holds_mm) co_await mmput(k, 0, hmm_release);
  }
  hmm.on_stack = 0;
}

// nouveau_svmm_sync_cpu_device_pagetables
Task<void> drop_entry(Kernel k) {
  co_await k.lock(Lock::driver, "nouveau_svmm_sync_cpu_device_pagetables: mutex_lock(&svmm->mutex)");
  k.world().device[0].entry[0] = {};
  k.unlock(Lock::driver);
}

// Reclaim, compaction, KSM: invalidations that take no mmap_sem.
Task<void> migrate(Kernel k, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    co_await hmm_invalidate_range_start(k, drop_entry);
    co_await k.step("migrate_pages: replace the PTE");
    ++k.world().mm[0].page[0].frame;
    co_await hmm_invalidate_range_end(k);
  }
  k.returns();
}

Task<void> map(Kernel k, int) {
  co_await k.lock(Lock::mmap_a, "mmap: down_write(&mm->mmap_sem)");
  k.unlock(Lock::mmap_a);
}

Task<void> exit_process(Kernel k, int) {
  co_await mmput(k, 0, hmm_release);
  k.returns();
}

// hmm.rst: register, wait, down_read, snapshot; then up_read, whatever the result.
Task<void> user(Kernel k, int call) {
  k.world().hmm.on_stack = 1;
  co_await hmm_range_register(k, quiet);
  co_await hmm_range_wait_until_valid(k, quiet);
  co_await k.read_lock(Lock::mmap_a);
  const bool block = call != static_cast<int>(Call::nonblocking_fault);
  Snapshot got{};
  if (call == static_cast<int>(Call::snapshot)) got = co_await hmm_range_snapshot(k, any_error);
  else got = co_await hmm_range_fault(k, block, any_error);
  k.record().result[code] = static_cast<std::uint8_t>(got.result > 0 ? 0 : -got.result);
  k.record().result[where] = got.result > 0 ? mapping : faulting;
  k.record().result[mmap_sem] = k.holds(Lock::mmap_a) ? unlocked_once : unlocked_twice;
  k.read_unlock(Lock::mmap_a);
  co_await hmm_range_unregister(k);
  k.world().hmm.on_stack = 0;
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].page[0] = {1, 1};
  w.object[hmm_object] = {Object::Life::live, 1};
}

void entry_is_current(World& w) {
  const Page& entry = w.device[0].entry[0];
  if (w.mm[0].active == 0 && entry.frame != 0 && entry.frame != w.mm[0].page[0].frame) w.findings |= bit(Finding::stale_entry);
}

// The page was there before and after every invalidation: nothing but a collision can have failed.
void not_cancelled(World& w) {
  if (w.record[0].result[end] == cancelled) w.findings |= bit(Finding::wrong_result);
}

void nothing_left(World& w) {
  if (w.hmm.registered || w.object[hmm_object].refs > 1) w.findings |= bit(Finding::leak);
}

std::string path(const World& w) {
  static constexpr const char* places[] = {"", "hmm_range_register", "hmm_range_wait_until_valid", "hmm_range_fault", "success"};
  static constexpr const char* locks[] = {"unlocked once", "unlocked twice", "leaked"};
  const auto& r = w.record[0].result;
  const std::string what = r[where] == mapping ? "" : " " + error_text(r[code]);
  return std::string(places[r[where]]) + what + ": mmap_sem " + locks[r[mmap_sem]];
}

std::string code_and_lock(const World& w) {
  const auto& r = w.record[0].result;
  return (r[where] == mapping ? "pages" : error_text(r[code])) + ": mmap_sem " +
         (r[mmap_sem] == unlocked_once ? "held" : "dropped");
}

}  // namespace

Protocol nouveau_return_paths(int circumstance) {
  return {.name = "nouveau_svm_fault, its return paths",
          .threads = {{"fault worker", nouveau_svm_fault, window(1, circumstance)}, {"migration", migrate, 1}, {"mmap", map}},
          .start = start,
          .outcome = path};
}

Protocol nouveau_exit(int circumstance) {
  return {.name = "nouveau_svm_fault against exit",
          .threads = {{"fault worker", nouveau_svm_fault, window(1, circumstance)}, {"exit", exit_process}},
          .start = start,
          .outcome = path};
}

Protocol nouveau_left_behind(int circumstance) {
  return {.name = "nouveau_svm_fault, what it leaves behind",
          .threads = {{"fault worker", nouveau_svm_fault, window(2, circumstance)}, {"migration", migrate, 2}},
          .start = start,
          .at_end = nothing_left,
          .outcome = path};
}

Protocol nouveau_collision() {
  return {.name = "nouveau_svm_fault against invalidations",
          .threads = {{"fault worker", nouveau_svm_fault, window(1, quiet)}, {"migration", migrate, 2}},
          .start = start,
          .always = entry_is_current,
          .at_end = not_cancelled};
}

Protocol documented_user(Call call) {
  return {.name = "a user of the API of July 2019",
          .threads = {{"user", user, static_cast<int>(call)}, {"migration", migrate, 1}},
          .start = start,
          .outcome = code_and_lock};
}

}  // namespace faultline::ref::protocol
