#include "kernels_ref/protocol/machine/kernel.h"

namespace faultline::ref::protocol {

void Kernel::wants(Lock which) const {
  const Record& r = record();
  // A thread that waits for its own fence or its own work is a circle. A lock that it holds is recursion.
  const bool plain = which < Lock::fence_a || which > Lock::work_b;
  if (plain && which != Lock::srcu && holds(which)) find(Finding::lock_recursion);
  for (int held = 0; held < lock_count; ++held) {
    if (!((r.held_read | r.held_write) >> held & 1)) continue;
    // Readers of SRCU do not keep each other out.
    if (which == Lock::srcu && held == static_cast<int>(Lock::srcu)) continue;
    order->waited(static_cast<Lock>(held), which);
  }
}

bool Kernel::try_lock(Lock which) const {
  LockState& l = world().lock[static_cast<int>(which)];
  if (l.writer || l.readers) return false;
  l.writer = 1;
  record().held_write |= bit(which);
  return true;
}

bool Kernel::try_read_lock(Lock which) const {
  LockState& l = world().lock[static_cast<int>(which)];
  if (l.writer || l.waiting_writers) return false;
  ++l.readers;
  record().held_read |= bit(which);
  return true;
}

void Kernel::unlock(Lock which) const {
  if (!holds_write(which)) return find(Finding::unlock_not_held);
  world().lock[static_cast<int>(which)].writer = 0;
  record().held_write &= static_cast<std::uint16_t>(~bit(which));
}

void Kernel::read_unlock(Lock which) const {
  if (!(record().held_read & bit(which))) return find(Finding::unlock_not_held);
  --world().lock[static_cast<int>(which)].readers;
  record().held_read &= static_cast<std::uint16_t>(~bit(which));
}

void Kernel::downgrade(Lock which) const {
  unlock(which);
  ++world().lock[static_cast<int>(which)].readers;
  record().held_read |= bit(which);
}

void Kernel::begin_work(Lock work) const {
  work_of(work) = {0, 1};
  record().held_write |= bit(work);
}

void Kernel::end_work(Lock work) const {
  work_of(work).running = 0;
  record().held_write &= static_cast<std::uint16_t>(~bit(work));
}

void Kernel::free(int object) const {
  Object& o = world().object[object];
  if (o.life != Object::Life::live) return find(Finding::double_free);
  o = {Object::Life::freed, 0};
}

void Kernel::put(int object) const {
  use(object);
  if (world().object[object].refs > 0 && --world().object[object].refs == 0) free(object);
}

const char* Kernel::lock_label(Lock which, bool shared) {
  switch (which) {
    case Lock::mmap_a:
    case Lock::mmap_b: return shared ? "mmap_read_lock" : "mmap_write_lock";
    case Lock::notifier: return "spin_lock(&subscriptions->lock)";
    case Lock::srcu: return shared ? "srcu_read_lock" : "synchronize_srcu";
    case Lock::hmm: return "lock(&hmm->lock)";
    case Lock::driver: return "lock(driver)";
    case Lock::driver_b: return "lock(second driver)";
    case Lock::svms: return "lock(&svms->lock)";
    case Lock::reservation: return "dma_resv_lock";
    case Lock::page: return "folio_lock";
    case Lock::rmap: return "rmap_lock";
    case Lock::process: return "lock(&process_info->lock)";
    default: return "wait";
  }
}

}  // namespace faultline::ref::protocol
