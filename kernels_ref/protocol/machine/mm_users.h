// The life of an mm: mm_users, and exit_mmap when the last user goes.
#pragma once

#include "kernels_ref/protocol/machine/kernel.h"

namespace faultline::ref::protocol {

// One atomic operation, as part of the caller's step.
inline bool mmget_not_zero(Kernel k, int mm) {
  Mm& m = k.world().mm[mm];
  if (m.users == 0) return false;
  ++m.users;
  return true;
}

// The unlocked check of March 2019. Drivers have it only with Variant::fault_looks_if_dying. True: give up.
Task<bool> is_dying(Kernel k, int mm);

// mmput. The thread that drops the last user runs __mmput and exit_mmap. `release` is what
// mmu_notifier_release calls. True: it was the last user.
Task<bool> mmput(Kernel k, int mm, Task<void> (*release)(Kernel) = nullptr);

}  // namespace faultline::ref::protocol
