#include "kernels_ref/mm/notifier.h"

#include "kernels_ref/mm/driver_ops.h"

namespace faultline::ref {

namespace {

bool subscribed(const World& w, MmId mm) {
  for (MirrorId id = mm; id < max_mirrors; id += max_mms)
    if (w.mirror[id].files) return true;
  return false;
}

// The mirrors of an mm that have a callback, one bit each. Those of the device `owner` are left out.
unsigned listeners(const World& w, MmId mm, int owner) {
  unsigned bits = 0;
  for (MirrorId id = mm; id < max_mirrors; id += max_mms)
    if (w.mirror[id].files && device_of(id) != owner) bits |= 1u << id;
  return bits;
}

// The `which`-th mirror of `left` whose callback can take its mutex. If there are fewer, -1, and `*count` is how many there are.
int nth_free(Cpu cpu, unsigned left, int which, int* count) {
  *count = 0;
  for (MirrorId id = 0; id < max_mirrors; ++id) {
    if (!(left >> id & 1)) continue;
    const bool free = !cpu.world().mirror[id].locked || !cpu.on(Rule::callback_takes_lock);
    if (free && (*count)++ == which) return id;
  }
  return -1;
}

// The driver's invalidate() for an open file, under its mutex.
void callback(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  if (cpu.on(Rule::callback_stamps)) {  // mmu_interval_set_seq
    w.mirror[id].stamped = w.mm[mm_of(id)].invalidating > 0;
    for (ThreadState& t : w.thread)
      if (t.reading == id) t.collided = 1;
  }
  cpu.driver().invalidate(cpu, id, from, to);
}

}  // namespace

bool others_listen(const World& world, MmId mm, int device) { return listeners(world, mm, device) != 0; }

Task<void> invalidate_start(Cpu cpu, MmId mm, Slot from, Slot to, Notify event, int owner) {
  World& w = cpu.world();
  if (!w.mm[mm].notifiers) co_return;
  // The kernel calls subscriptions in the order of their insertion. Here any order is possible.
  unsigned told = 0;
  const DriverOps& driver = cpu.driver();
  if (driver.invalidate_ranges) {
    co_await cpu.step("mn_itree_invalidate");
    ++w.mm[mm].invalidating;
    told |= 1u << max_mirrors;
    driver.invalidate_ranges(cpu, mm, from, to, event);
    if (!driver.invalidate) co_return;
  }
  while (const unsigned left = listeners(w, mm, owner) & ~told) {
    const int way = co_await cpu.until("mmu_notifier_invalidate_range_start", [cpu, mm, owner, told] {
      const unsigned left = listeners(cpu.world(), mm, owner) & ~told;
      int count = 0;
      nth_free(cpu, left, -1, &count);
      return left ? count : 1;
    });
    int count = 0;
    const MirrorId id = nth_free(cpu, listeners(w, mm, owner) & ~told, way, &count);
    if (!told) ++w.mm[mm].invalidating;
    told |= 1u << max_mirrors;
    if (id < 0) break;  // closed meanwhile
    callback(cpu, id, from, to);
    told |= 1u << id;
  }
  if (!told) ++w.mm[mm].invalidating;
}

Task<void> invalidate_end(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  if (!w.mm[mm].notifiers) co_return;
  if (w.mm[mm].invalidating == 0) co_return;  // the first notifier came after the start: inv_end finds nothing active
  if (subscribed(w, mm)) co_await cpu.step("mmu_notifier_invalidate_range_end");
  if (--w.mm[mm].invalidating > 0) co_return;
  for (MirrorId id = mm; id < max_mirrors; id += max_mms) w.mirror[id].stamped = 0;
}

void invalidate_now(Cpu cpu, MmId mm, Slot from, Slot to) {
  const DriverOps& driver = cpu.driver();
  if (driver.invalidate_ranges) driver.invalidate_ranges(cpu, mm, from, to, Notify::clear);
  if (!driver.invalidate) return;
  for (MirrorId id = mm; id < max_mirrors; id += max_mms)
    if (cpu.world().mirror[id].files) callback(cpu, id, from, to);
}

bool can_begin_read(Cpu cpu, MirrorId mirror) { return !cpu.world().mirror[mirror].stamped || !cpu.on(Rule::read_begin_waits); }

void begin_read(Cpu cpu, MirrorId mirror, Slot slot) {
  ThreadState& self = cpu.self();
  self.reading = static_cast<std::uint8_t>(mirror);
  self.asked = static_cast<std::uint8_t>(slot);
  self.collided = self.moved = 0;
}

void end_read(Cpu cpu) {
  ThreadState& self = cpu.self();
  self.reading = self.asked = none;
  self.collided = self.moved = 0;
}

Task<void> release_notifiers(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  if (!w.mm[mm].notifiers || !cpu.driver().invalidate || !cpu.on(Rule::release_at_exit)) co_return;
  for (MirrorId id = mm; id < max_mirrors; id += max_mms) {
    if (!w.mirror[id].files) continue;
    co_await cpu.until("mn_itree_release", [cpu, id] { return !cpu.world().mirror[id].locked; });
    if (w.mirror[id].files) callback(cpu, id, 0, cpu.shape->slots() - 1);
  }
}

Task<void> insert_notifier(Cpu cpu, MirrorId mirror) {
  World& w = cpu.world();
  const MmId mm = mm_of(mirror);
  co_await cpu.until("mmu_interval_notifier_insert",
                     [cpu, mm] { return cpu.world().mm[mm].notifiers || can_write_lock(cpu.world(), mm); });
  w.mm[mm].notifiers = 1;
  w.mirror[mirror] = Mirror{};
  w.mirror[mirror].files = 1;
  // If it is inserted while a range is being invalidated, its sequence makes read_begin wait for the end.
  w.mirror[mirror].stamped = w.mm[mm].invalidating > 0;
}

Task<void> remove_notifier(Cpu cpu, MirrorId mirror) {
  co_await cpu.until("mmu_interval_notifier_remove", [cpu, mirror] { return cpu.world().mm[mm_of(mirror)].invalidating == 0; });
  cpu.world().mirror[mirror] = Mirror{};
}

}  // namespace faultline::ref
