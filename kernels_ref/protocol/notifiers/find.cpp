#include "kernels_ref/protocol/notifiers/find.h"

#include <algorithm>

namespace faultline::ref::protocol {

namespace {

using Pending = Subscription::Pending;

bool over(int start, int last, int from, int to) { return start <= to && from <= last; }

// The first match: of the tree, and then of the deferred list.
int look(Kernel k, int mm, int from, int to) {
  World& w = k.world();
  const bool deferred = k.with(Variant::find_knows_deferred);
  int found = -1, looked = 0;
  for (int i = 0; i < max_subscriptions && found < 0; ++i) {
    const Subscription& s = w.subscription[i];
    if (s.mm != mm || !s.in_tree || !over(s.start, s.last, from, to)) continue;
    ++looked;
    if (!deferred || s.pending == Pending::no) found = i;
  }
  for (int i = 0; deferred && i < max_subscriptions && found < 0; ++i) {
    const Subscription& s = w.subscription[i];
    if (s.mm != mm || s.pending == Pending::no) continue;
    ++looked;
    if (s.pending == Pending::insert && over(s.start, s.last, from, to)) found = i;
    if (s.pending == Pending::update && over(s.new_start, s.new_last, from, to)) found = i;
  }
  w.count[looked_at] = std::max(w.count[looked_at], static_cast<std::uint8_t>(looked));
  return found;
}

// Around each call, if the driver has one lock for all calls.
Task<void> lock_calls(Kernel k) {
  if (k.with(Variant::driver_lock_around_interval_calls)) co_await k.lock(Lock::driver);
}
void unlock_calls(Kernel k) {
  if (k.with(Variant::driver_lock_around_interval_calls)) k.unlock(Lock::driver);
}

// invalidate() of the driver's subscription 0 (device 0) and of somebody else's (device 1).
Task<void> drop_entries(Kernel k, Invalidation i) {
  const Lock lock = i.subscription == 0 ? Lock::driver : Lock::driver_b;
  co_await k.lock(lock, "invalidate: lock(driver)");
  set_seq(k, i);
  for (int p = i.from; p <= i.to; ++p) k.world().device[i.subscription].entry[p] = {};
  k.unlock(lock);
}

Task<void> invalidator(Kernel k, int page) {
  co_await invalidate_range_start(k, 0, page, page, drop_entries);
  co_await k.step("change the PTE");
  ++k.world().mm[0].page[page].frame;
  co_await invalidate_range_end(k, 0);
  k.returns();
}

// --- find_against_put ---

Task<void> putter(Kernel k, int subscription) {
  co_await lock_calls(k);
  if (k.with(Variant::removes_under_driver_lock)) {
    co_await remove(k, subscription);
    k.free(k.world().subscription[subscription].holder - 1);
  } else {
    co_await put(k, subscription);
  }
  unlock_calls(k);
  k.returns();
}

Task<void> finder(Kernel k, int page) {
  co_await lock_calls(k);
  const int found = co_await find(k, 0, page, page);
  if (found >= 0) {
    co_await k.step("caller of find: uses what it found");
    touch(k, found);
    if (k.with(Variant::find_keeps_tree_locked)) co_await invalidate_range_end(k, 0);
  }
  unlock_calls(k);
  k.returns();
}

void released(World& w) {
  if (w.object[0].life != Object::Life::freed) w.findings |= bit(Finding::leak);
}

// --- find_against_changes ---

// Which calls have begun and which have returned, a bit for each in the order of their thread.
constexpr int begun = 0, returned = 1;
constexpr int before = 0, inserted = 1;

Task<void> changer(Kernel k, int) {
  World& w = k.world();
  co_await k.step("driver: inserts one");
  w.count[begun] |= 1;
  co_await lock_calls(k);
  co_await insert(k, inserted, 0, 1, 1);
  unlock_calls(k);
  w.count[returned] |= 1;
  co_await k.step("driver: puts another");
  w.count[begun] |= 2;
  co_await lock_calls(k);
  co_await put(k, before);
  unlock_calls(k);
  w.count[returned] |= 2;
  co_await k.step("driver: updates the one");
  w.count[begun] |= 4;
  co_await lock_calls(k);
  co_await update(k, inserted, 0, 0);
  unlock_calls(k);
  w.count[returned] |= 4;
  k.returns();
}

Task<void> asker(Kernel k, int) {
  World& w = k.world();
  const int page = co_await k.choose("driver: looks for a subscription", 2);
  const int done = w.count[returned];
  co_await lock_calls(k);
  const int found = co_await find(k, 0, page, page);
  if (found >= 0 && k.with(Variant::find_keeps_tree_locked)) co_await invalidate_range_end(k, 0);
  unlock_calls(k);
  // The calls that took effect before the find: all that had returned, and perhaps some that had begun.
  bool allowed = false;
  for (const int effective : {0, 1, 3, 7}) {
    if ((done & ~effective) || (effective & ~w.count[begun])) continue;
    const int over_first = !(effective & 2) ? before : effective & 4 ? inserted : -1;
    const int over_second = (effective & 1) && !(effective & 4) ? inserted : -1;
    allowed = allowed || found == (page == 0 ? over_first : over_second);
  }
  if (!allowed) {
    k.find(Finding::wrong_result);
    w.count[found >= 0 ? gave_what_is_gone : missed_what_is_there] = 1;
  }
  k.returns();
}

// --- read_against_update ---

constexpr int reading = 0, seen_pending = 1;

Task<void> reader(Kernel k, int) {
  World& w = k.world();
  for (bool again = true; again;) {
    const int seq = co_await read_begin(k, 0);
    w.count[reading] = 1;
    co_await k.step("hmm_range_fault");
    co_await k.lock(Lock::driver);
    again = read_retry(k, 0, seq);
    if (!again && w.count[seen_pending]) k.find(Finding::wrong_result);
    w.count[reading] = w.count[seen_pending] = 0;
    k.unlock(Lock::driver);
  }
  k.returns();
}

Task<void> updater(Kernel k, int) {
  co_await k.lock(Lock::driver);
  co_await update(k, 0, 0, 1);
  k.unlock(Lock::driver);
  k.returns();
}

void note_pending(World& w) {
  for (const Subscription& s : w.subscription)
    if (w.count[reading] && s.pending != Pending::no) w.count[seen_pending] = 1;
}

// --- fault_against_update ---

Task<void> mover(Kernel k, int) {
  co_await k.lock(Lock::driver);
  co_await update(k, 0, 1, 1);
  if (start_of(k, 0) != 1) k.find(Finding::wrong_result);
  k.world().device[0].entry[0] = {};  // the subscription no longer covers page 0
  k.unlock(Lock::driver);
  k.returns();
}

Task<void> faulter(Kernel k, int) {
  World& w = k.world();
  for (bool again = true; again;) {
    const int seq = co_await read_begin(k, 0);
    const int page = start_of(k, 0);
    co_await k.step("hmm_range_fault");
    const Page seen = w.mm[0].page[page];
    co_await k.lock(Lock::driver);
    again = read_retry(k, 0, seq) || start_of(k, 0) != page;
    if (!again) w.device[0].entry[page] = seen;
    k.unlock(Lock::driver);
  }
  k.returns();
}

void entries_are_current(World& w) {
  for (int p = 0; p < max_pages; ++p) {
    const Page& entry = w.device[0].entry[p];
    const bool stale = entry.frame != 0 && entry.frame != w.mm[0].page[p].frame;
    if (w.mm[0].active == 0 && stale) w.findings |= bit(Finding::stale_entry);
  }
}

// A mm with two pages; subscription 0 mirrors the first of them and lies in object 0.
void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].page = {{{1, 1}, {3, 1}}};
  w.mm[0].seq = 2;
  w.object[0] = {Object::Life::live, 1};
  w.subscription[0] = {.holder = 1, .in_tree = 1, .seq = 1};
}
void start_two(World& w) {
  start(w);
  w.subscription[1] = {.in_tree = 1, .start = 1, .last = 1, .seq = 1};
}

}  // namespace

Task<int> find(Kernel k, int mm, int from, int to) {
  co_await section(k, "mmu_interval_notifier_find");
  const int found = look(k, mm, from, to);
  if (found >= 0 && k.with(Variant::find_keeps_tree_locked)) {
    // Read-locks the tree as mn_itree_inv_start_range does; invalidate_range_end unlocks it.
    ++k.world().mm[mm].active;
    k.world().mm[mm].seq |= 1;
  }
  co_return found;
}

Task<void> put(Kernel k, int subscription) {
  Subscription& s = k.world().subscription[subscription];
  co_await section(k, "mmu_interval_notifier_put");
  s.freeing = 1;
  if (take_out(k, subscription)) co_return;
  co_await k.step("mmu_interval_notifier_put: ops->release");
  k.free(s.holder - 1);
}

Task<void> update(Kernel k, int subscription, int start, int last) {
  World& w = k.world();
  Subscription& s = w.subscription[subscription];
  const Mm& m = w.mm[s.mm];
  co_await section(k, "mmu_interval_notifier_update");
  touch(k, subscription);
  const bool put_off = invalidating(m) && s.in_tree;
  if (put_off) {
    if (s.pending == Pending::no) defer(w, s, Pending::update);
    s.new_start = static_cast<std::uint8_t>(start);
    s.new_last = static_cast<std::uint8_t>(last);
  } else {
    s.start = static_cast<std::uint8_t>(start);
    s.last = static_cast<std::uint8_t>(last);
  }
  if (k.with(Variant::update_stamps)) s.seq = put_off ? m.seq : static_cast<std::uint8_t>(m.seq - 1);
}

int start_of(Kernel k, int subscription) {
  touch(k, subscription);
  const Subscription& s = k.world().subscription[subscription];
  return s.pending == Pending::update && k.with(Variant::find_knows_deferred) ? s.new_start : s.start;
}

Protocol find_against_put() {
  return {.name = "find against put",
          .threads = {{"invalidator", invalidator, 0}, {"putter", putter, 0}, {"finder", finder, 0}},
          .start = start,
          .at_end = released};
}

Protocol find_against_changes() {
  return {.name = "find against insert, put and update",
          .threads = {{"invalidator", invalidator, 0}, {"changer", changer}, {"finder", asker}},
          .start = start,
          .at_end = released};
}

Protocol read_against_update() {
  return {.name = "read_retry against update",
          .threads = {{"invalidator", invalidator, 1}, {"updater", updater}, {"reader", reader}},
          .start = start_two,
          .always = note_pending};
}

Protocol fault_against_update() {
  return {
      .name = "fault against update",
      .threads = {{"invalidator", invalidator, 0}, {"other invalidator", invalidator, 1}, {"mover", mover}, {"faulter", faulter}},
      .start = start_two,
      .always = entries_are_current};
}

}  // namespace faultline::ref::protocol
