#include "kernels_ref/protocol/machine/mm_users.h"

namespace faultline::ref::protocol {

Task<bool> is_dying(Kernel k, int mm) {
  if (!k.with(Variant::fault_looks_if_dying)) co_return false;
  co_await k.step("fault: is the mm dying?");
  co_return k.world().mm[mm].dying != 0;
}

Task<bool> mmput(Kernel k, int mm, Task<void> (*release)(Kernel)) {
  Mm& m = k.world().mm[mm];
  const Lock mmap = mm == 0 ? Lock::mmap_a : Lock::mmap_b;
  co_await k.step("mmput");
  if (m.users == 0) {
    k.find(Finding::double_free);
    co_return false;
  }
  if (--m.users > 0) co_return false;
  co_await k.step("exit_mmap: mmu_notifier_release");
  m.dying = 1;
  if (release) co_await release(k);
  // In 2019 khugepaged_exit, ksm_exit and the exit of an OOM victim took mmap_sem. Today exit_mmap always takes it.
  co_await k.lock(mmap, "exit_mmap: mmap_write_lock");
  m.mapped = 0;
  m.page = {};
  k.unlock(mmap);
  co_return true;
}

}  // namespace faultline::ref::protocol
