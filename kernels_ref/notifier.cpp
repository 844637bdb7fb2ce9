#include "kernels_ref/notifier.h"

namespace faultline::ref {

namespace {

bool subscribed(const World& w, MmId mm) { return w.mirror[mm].files > 0; }

// dmirror_interval_invalidate, under dmirror->mutex.
void callback(Cpu cpu, MmId mm, Slot from, Slot to) {
  World& w = cpu.world();
  Mirror& mirror = w.mirror[mm];
  if (cpu.on(Rule::callback_stamps)) {
    mirror.stamped = w.mm[mm].invalidating > 0;
    for (ThreadState& t : w.thread)
      if (t.reading == mm) t.collided = 1;
  }
  if (!cpu.on(Rule::callback_erases)) return;
  // xa_for_each_range takes an inclusive end and is given the exclusive one: a page too many.
  const Slot one_more = cpu.shape->after(to);
  for (Slot s = from; s <= (one_more >= 0 ? one_more : to); ++s) mirror.entry[s] = {};
}

}  // namespace

Task<void> invalidate_start(Cpu cpu, MmId mm, Slot from, Slot to, Event) {
  World& w = cpu.world();
  if (!w.mm[mm].notifiers) co_return;
  if (!subscribed(w, mm)) {
    ++w.mm[mm].invalidating;
    co_return;
  }
  co_await cpu.until("mmu_notifier_invalidate_range_start", [cpu, mm] {
    return !cpu.world().mirror[mm].locked || !cpu.on(Rule::callback_takes_lock);
  });
  ++w.mm[mm].invalidating;
  if (subscribed(w, mm)) callback(cpu, mm, from, to);
}

Task<void> invalidate_end(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  if (!w.mm[mm].notifiers) co_return;
  if (w.mm[mm].invalidating == 0) co_return;  // registered since: inv_end finds nothing active
  if (subscribed(w, mm)) co_await cpu.step("mmu_notifier_invalidate_range_end");
  if (--w.mm[mm].invalidating == 0) w.mirror[mm].stamped = 0;
}

void invalidate_now(Cpu cpu, MmId mm, Slot slot) {
  if (subscribed(cpu.world(), mm)) callback(cpu, mm, slot, slot);
}

bool can_begin_read(Cpu cpu, MmId mm) {
  return !cpu.world().mirror[mm].stamped || !cpu.on(Rule::read_begin_waits);
}

void begin_read(Cpu cpu, MmId mm) {
  cpu.self().reading = static_cast<std::uint8_t>(mm);
  cpu.self().collided = 0;
}

void end_read(Cpu cpu) {
  cpu.self().reading = none;
  cpu.self().collided = 0;
}

Task<void> release_notifiers(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  if (!w.mm[mm].notifiers || !subscribed(w, mm) || !cpu.on(Rule::release_at_exit)) co_return;
  co_await cpu.until("mn_itree_release", [cpu, mm] { return !cpu.world().mirror[mm].locked; });
  if (subscribed(w, mm)) callback(cpu, mm, 0, cpu.shape->slots() - 1);
}

Task<void> insert_notifier(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  co_await cpu.until("mmu_interval_notifier_insert",
                     [cpu, mm] { return cpu.world().mm[mm].notifiers || can_write_lock(cpu.world(), mm); });
  w.mm[mm].notifiers = 1;
  w.mirror[mm] = Mirror{};
  w.mirror[mm].files = 1;
  // Inserted while a range is being invalidated: its sequence makes read_begin wait for the end.
  w.mirror[mm].stamped = w.mm[mm].invalidating > 0;
}

Task<void> remove_notifier(Cpu cpu, MmId mm) {
  co_await cpu.until("mmu_interval_notifier_remove", [cpu, mm] { return cpu.world().mm[mm].invalidating == 0; });
  cpu.world().mirror[mm] = Mirror{};
}

}  // namespace faultline::ref
