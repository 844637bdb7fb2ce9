// One modelled thread's view of the protocol machine: steps, locks, objects, fences and work.
//
// The functions of the protocols take a Kernel by value and read like the kernel functions they stand for:
//
//   co_await k.lock(Lock::driver);            // mutex_lock, down_write, spin_lock
//   co_await k.read_lock(Lock::mmap_a);       // down_read, srcu_read_lock
//   k.unlock(Lock::driver);
//   co_await k.step("nouveau_range_fault: register");
//
// Releasing a lock is no step of its own: no thread could see the difference. Every acquisition and wait is
// written into the Order, lockdep's graph. The Order is kept over all executions, so a circle is found even
// if no execution deadlocks in it.
#pragma once

#include "kernels_ref/engine/task.h"
#include "kernels_ref/protocol/machine/lock_order.h"
#include "kernels_ref/protocol/machine/variant.h"
#include "kernels_ref/protocol/machine/world.h"

namespace faultline::ref::protocol {

constexpr std::uint16_t bit(Lock lock) { return static_cast<std::uint16_t>(1u << static_cast<int>(lock)); }
constexpr std::uint32_t bit(Finding finding) { return 1u << static_cast<int>(finding); }

struct Kernel {
  World* memory;
  Record* own;
  Suspension* place;
  const Variants* variants;
  Order* order;

  World& world() const { return *memory; }
  Record& record() const { return *own; }
  bool with(Variant variant) const { return (*variants)[static_cast<int>(variant)]; }
  void find(Finding finding) const { world().findings |= bit(finding); }

  Step step(const char* label) const { return {place, label}; }
  template <typename Condition>
  Until<Condition> until(const char* label, Condition condition) const {
    return {place, label, condition};
  }
  auto choose(const char* label, int ways) const {
    return until(label, [ways] { return ways; });
  }

  // --- locks ---
  // A thread waits for a lock from its previous step on, and a waiting writer keeps readers out. So if there
  // are readers, a thread does not begin with a write lock but with a step.
  struct Acquire;
  Acquire lock(Lock which, const char* label = nullptr) const;
  Acquire read_lock(Lock which, const char* label = nullptr) const;
  // Takes the lock if it is free now; call right after a step. A trylock does not wait, so it adds nothing to the Order.
  bool try_lock(Lock which) const;
  bool try_read_lock(Lock which) const;
  void unlock(Lock which) const;
  void read_unlock(Lock which) const;
  void downgrade(Lock which) const;
  bool holds(Lock which) const { return (record().held_read | record().held_write) & bit(which); }
  bool holds_write(Lock which) const { return record().held_write & bit(which); }
  // For a function that must be called with the lock held.
  void needs(Lock which) const {
    if (!holds(which)) find(Finding::missing_lock);
  }
  // Call at the end of a system call or a work item.
  void returns() const {
    if (record().held_read | record().held_write) find(Finding::lock_at_return);
  }

  // --- fences: dma_fence_begin_signalling, dma_fence_end_signalling, dma_fence_wait ---
  void begin_signalling(Lock fence) const { record().held_read |= bit(fence); }
  void end_signalling(Lock fence) const { record().held_read &= static_cast<std::uint16_t>(~bit(fence)); }
  void signal(Lock fence) const { fence_of(fence).signalled = 1; }
  Fence& fence_of(Lock fence) const { return world().fence[static_cast<int>(fence) - static_cast<int>(Lock::fence_a)]; }
  auto wait_fence(Lock fence, const char* label) const {
    wants(fence);
    return until(label, [k = *this, fence] { return k.fence_of(fence).signalled != 0; });
  }

  // --- work items: queue_work, flush_work, cancel_work_sync; a thread of the protocol runs them ---
  Work& work_of(Lock work) const { return world().work[static_cast<int>(work) - static_cast<int>(Lock::work)]; }
  void queue_work(Lock work) const { work_of(work).queued = 1; }
  void begin_work(Lock work) const;
  void end_work(Lock work) const;
  auto flush_work(Lock work, const char* label) const {
    wants(work);
    return until(label, [k = *this, work] { return !k.work_of(work).queued && !k.work_of(work).running; });
  }
  auto cancel_work_sync(Lock work, const char* label) const {
    wants(work);
    return until(label, [k = *this, work] { return !k.work_of(work).running; });  // then clear `queued`
  }

  // --- objects ---
  void make(int object) const { world().object[object] = {Object::Life::live, 1}; }
  void use(int object) const {
    if (world().object[object].life != Object::Life::live) find(Finding::use_after_free);
  }
  void free(int object) const;
  void get(int object) const {
    use(object);
    ++world().object[object].refs;
  }
  void put(int object) const;

  // Lockdep: this thread is about to wait for `which`.
  void wants(Lock which) const;
  static const char* lock_label(Lock which, bool shared);
};

struct Kernel::Acquire {
  Kernel k;
  Lock which;
  bool shared;
  const char* label;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    LockState& l = k.world().lock[static_cast<int>(which)];
    k.wants(which);
    if (!shared) ++l.waiting_writers;
    *k.place = {self.address(), [](const void* a) { return static_cast<const Acquire*>(a)->free() ? 1 : 0; }, this, label, 0};
  }
  bool free() const {
    const LockState& l = k.world().lock[static_cast<int>(which)];
    return shared ? !l.writer && (!l.waiting_writers || which == Lock::srcu) : !l.writer && !l.readers;
  }
  void await_resume() const noexcept {
    LockState& l = k.world().lock[static_cast<int>(which)];
    if (shared) {
      ++l.readers;
      k.record().held_read |= bit(which);
    } else {
      --l.waiting_writers;
      l.writer = 1;
      k.record().held_write |= bit(which);
    }
  }
};

inline Kernel::Acquire Kernel::lock(Lock which, const char* label) const {
  return {*this, which, false, label ? label : lock_label(which, false)};
}
inline Kernel::Acquire Kernel::read_lock(Lock which, const char* label) const {
  return {*this, which, true, label ? label : lock_label(which, true)};
}

}  // namespace faultline::ref::protocol
