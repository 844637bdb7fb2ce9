#include "kernels_ref/protocol/drivers/dying_mm.h"

#include <cerrno>

#include "kernels_ref/protocol/machine/error.h"
#include "kernels_ref/protocol/machine/mm_users.h"

namespace faultline::ref::protocol {

namespace {

enum : int { hmm_object, mm_struct };
enum : int { mapped_faults, helper_code, helper_lock };

// A step of a fault's work is done. Counts it if it is wasted, or if the exit waits for it.
void worked(Kernel k) {
  World& w = k.world();
  if (w.mm[0].dying) ++w.count[wasted_work];
  const LockState& mmap = w.lock[static_cast<int>(Lock::mmap_a)];
  if (mmap.waiting_writers && k.holds(Lock::mmap_a)) ++w.count[teardown_delay];
}

// hmm_release, and the driver's own
Task<void> release(Kernel k) {
  World& w = k.world();
  if (!k.with(Variant::dead_is_set_late)) w.hmm.dead = 1;
  co_await k.lock(Lock::driver, "hmm_release: lock(driver)");
  w.device[0].entry[0] = {};
  k.unlock(Lock::driver);
}

Task<void> mmput_and_drop(Kernel k) {
  World& w = k.world();
  if (!co_await mmput(k, 0, release)) co_return;
  w.hmm.dead = 1;
  k.put(mm_struct);  // mm_users together hold one mm_count
  if (k.with(Variant::no_mmgrab) && w.object[mm_struct].life == Object::Life::live) k.put(mm_struct);
}

Task<int> hmm_mirror_mm_down_read(Kernel k, Mirror mirror) {
  const World& w = k.world();
  const bool lock_first = k.with(Variant::down_read_before_check);
  if (lock_first) co_await k.read_lock(Lock::mmap_a, "hmm_mirror_mm_down_read: down_read(&mm->mmap_sem)");
  if (mirror != Mirror::there) co_return -EINVAL;
  k.use(hmm_object);
  if (!k.with(Variant::no_dying_check)) {
    co_await k.step("hmm_mirror_mm_down_read: hmm->dead?");
    worked(k);
    if (w.hmm.dead) co_return -EINVAL;
  }
  k.use(mm_struct);
  if (!lock_first) co_await k.read_lock(Lock::mmap_a, "hmm_mirror_mm_down_read: down_read(&mm->mmap_sem)");
  worked(k);
  co_return 0;
}

// True: mapped.
Task<bool> fault(Kernel k) {
  World& w = k.world();
  if (co_await hmm_mirror_mm_down_read(k, Mirror::there)) co_return false;
  k.use(mm_struct);
  co_await k.step("fault: find_vma");
  worked(k);
  const bool vma = w.mm[0].mapped;
  if (vma) {
    co_await k.step("hmm_range_register: mmget_not_zero");
    worked(k);
  }
  const bool blind = k.with(Variant::dying_check_replaces_mmget);
  if (!vma || (!mmget_not_zero(k, 0) && !blind)) {
    k.read_unlock(Lock::mmap_a);
    co_return false;
  }
  co_await k.step("hmm_range_fault");
  worked(k);
  const Page page = w.mm[0].page[0];
  co_await k.lock(Lock::driver);
  worked(k);
  co_await k.step("fault: program the device");
  worked(k);
  w.device[0].entry[0] = page;
  k.unlock(Lock::driver);
  k.read_unlock(Lock::mmap_a);
  if (w.mm[0].users > 0) co_await mmput_and_drop(k);
  co_return true;
}

Task<void> context(Kernel k, int faults) {
  for (int f = 0; f < faults; ++f)
    if (co_await fault(k)) ++k.record().result[mapped_faults];
  k.returns();
  co_await k.step("hmm_mirror_unregister");
  k.put(hmm_object);
  const World& w = k.world();
  const bool gone = w.object[hmm_object].life == Object::Life::freed;
  if (gone && !k.with(Variant::no_mmgrab)) k.put(mm_struct);
}

Task<void> exit_process(Kernel k, int) {
  co_await mmput_and_drop(k);
  k.returns();
}

Task<void> down_read(Kernel k, int mirror) {
  const int ret = co_await hmm_mirror_mm_down_read(k, static_cast<Mirror>(mirror));
  k.record().result[helper_code] = static_cast<std::uint8_t>(-ret);
  k.record().result[helper_lock] = k.holds(Lock::mmap_a);
  if (ret == 0) k.read_unlock(Lock::mmap_a);
  k.returns();
  co_await k.step("hmm_mirror_unregister");
  k.put(hmm_object);
  k.put(mm_struct);
}

template <int contexts>
void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].page[0] = {1, 1};
  w.object[hmm_object] = {Object::Life::live, contexts};
  w.object[mm_struct] = {Object::Life::live, 2};  // mm_users, and hmm's mmgrab
}

void entry_is_current(World& w) {
  if (w.device[0].entry[0].frame != w.mm[0].page[0].frame && w.device[0].entry[0].frame != 0)
    w.findings |= bit(Finding::stale_entry);
}

void nothing_left(World& w) {
  if (w.mm[0].users > 0 || w.object[hmm_object].life != Object::Life::freed || w.object[mm_struct].life != Object::Life::freed)
    w.findings |= bit(Finding::leak);
}

std::string mapped(const World& w) {
  return "mapped=" + std::to_string(w.record[0].result[mapped_faults]) + " entry=" + std::to_string(w.device[0].entry[0].frame);
}

std::string code_and_lock(const World& w) {
  return error_text(w.record[0].result[helper_code]) + (w.record[0].result[helper_lock] ? ": mmap_sem held" : ": not held");
}

}  // namespace

Protocol dying_mm(int faults) {
  return {.name = "faults against a process that exits",
          .threads = {{"device context", context, faults}, {"exit", exit_process}},
          .start = start<1>,
          .always = entry_is_current,
          .at_end = nothing_left,
          .outcome = mapped};
}

Protocol dying_mm_two_contexts(int faults) {
  return {.name = "faults of two device contexts against a process that exits",
          .threads = {{"device context", context, faults}, {"device context", context, faults}, {"exit", exit_process}},
          .start = start<2>,
          .always = entry_is_current,
          .at_end = nothing_left};
}

Protocol mm_down_read(Mirror mirror) {
  return {.name = "hmm_mirror_mm_down_read",
          .threads = {{"caller", down_read, static_cast<int>(mirror)}, {"exit", exit_process}},
          .start = start<1>,
          .outcome = code_and_lock};
}

}  // namespace faultline::ref::protocol
