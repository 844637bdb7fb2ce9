#include "kernels_ref/protocol/notifiers/mmu_notifier.h"

#include <algorithm>

namespace faultline::ref::protocol {

namespace {

bool overlaps(const Subscription& s, int mm, int from, int to) {
  return s.in_tree && s.mm == mm && s.start <= to && from <= s.last;
}

// mn_itree_inv_end: applies what was deferred while the tree was being walked. Returns a bit for each
// subscription that left the tree and is to be released.
unsigned apply_deferred(Kernel k, int mm) {
  unsigned released = 0;
  for (int i = 0; i < max_subscriptions; ++i) {
    Subscription& s = k.world().subscription[i];
    if (s.mm != mm || s.pending == Subscription::Pending::no) continue;
    touch(k, i);
    if (s.pending == Subscription::Pending::insert) s.in_tree = 1;
    if (s.pending == Subscription::Pending::remove) {
      s.in_tree = 0;
      if (s.freeing) released |= 1u << i;
    }
    if (s.pending == Subscription::Pending::update) {
      s.start = s.new_start;
      s.last = s.new_last;
      s.new_start = s.new_last = 0;
    }
    s.pending = Subscription::Pending::no;
    s.order = 0;
  }
  return released;
}

}  // namespace

void defer(World& w, Subscription& s, Subscription::Pending what) {
  int last = 0;
  for (const Subscription& other : w.subscription) last = std::max<int>(last, other.order);
  s.pending = what;
  s.order = static_cast<std::uint8_t>(last + 1);
}

Task<void> invalidate_range_start(Kernel k, int mm, int from, int to, Callback callback) {
  World& w = k.world();
  Mm& m = w.mm[mm];
  co_await section(k, "mn_itree_inv_start_range");
  ++m.active;
  for (const Subscription& s : w.subscription)
    if (overlaps(s, mm, from, to)) m.seq |= 1;
  const std::uint8_t seq = m.seq;
  for (int s = 0; s < max_subscriptions; ++s) {
    if (!overlaps(w.subscription[s], mm, from, to)) continue;
    touch(k, s);
    k.record().in_callback = 1;
    co_await callback(k, {mm, s, from, to, seq});
    k.record().in_callback = 0;
  }
}

Task<void> invalidate_range_end(Kernel k, int mm) {
  World& w = k.world();
  Mm& m = w.mm[mm];
  co_await section(k, "mn_itree_inv_end");
  --m.active;
  if ((m.active > 0 && !k.with(Variant::first_end_completes)) || !invalidating(m)) co_return;
  ++m.seq;
  if (k.with(Variant::remove_waits_without_lock)) {
    // A thread that looks without the lock sees the section half done.
    k.try_lock(Lock::notifier);
    co_await k.step("mn_itree_inv_end: deferred list");
    k.unlock(Lock::notifier);
  }
  const unsigned released = apply_deferred(k, mm);
  for (int s = 0; released >> s; ++s) {
    if (!(released >> s & 1)) continue;
    co_await k.step("mn_itree_inv_end: ops->release");
    k.free(w.subscription[s].holder - 1);
  }
}

Task<int> read_begin(Kernel k, int subscription) {
  World& w = k.world();
  co_await section(k, "mmu_interval_read_begin");
  touch(k, subscription);
  const int seq = w.subscription[subscription].seq;
  const int mm = w.subscription[subscription].mm;
  if (k.with(Variant::whole_mm_sequence)) {
    co_await k.until("mmu_notifier: no invalidation", [m = &w.mm[mm]] { return !invalidating(*m); });
    co_return w.mm[mm].seq;
  }
  if (w.mm[mm].seq == seq && !k.with(Variant::read_begin_does_not_wait))
    co_await k.until("mmu_interval_read_begin: woken", [m = &w.mm[mm], seq] { return m->seq != seq; });
  co_return seq;
}

bool read_retry(Kernel k, int subscription, int seq) {
  touch(k, subscription);
  const Subscription& s = k.world().subscription[subscription];
  if (k.with(Variant::whole_mm_sequence)) return k.world().mm[s.mm].seq != seq;
  return s.seq != seq && !k.with(Variant::no_read_retry);
}

void set_seq(Kernel k, const Invalidation& invalidation) {
  if (!k.with(Variant::callback_does_not_stamp)) k.world().subscription[invalidation.subscription].seq = invalidation.seq;
}

Task<bool> insert(Kernel k, int subscription, int mm, int start, int last) {
  World& w = k.world();
  Mm& m = w.mm[mm];
  Subscription& s = w.subscription[subscription];
  co_await section(k, "mmu_interval_notifier_insert");
  touch(k, subscription);
  if (m.users == 0) co_return false;
  s = {.holder = s.holder,
       .mm = static_cast<std::uint8_t>(mm),
       .start = static_cast<std::uint8_t>(start),
       .last = static_cast<std::uint8_t>(last)};
  if (m.active > 0) {
    if (invalidating(m)) {
      defer(w, s, Subscription::Pending::insert);
    } else {
      m.seq |= 1;
      s.in_tree = 1;
    }
    s.seq = m.seq;
  } else {
    s.seq = static_cast<std::uint8_t>(m.seq - 1);  // the next read_begin must not take it for invalidated
    s.in_tree = 1;
  }
  co_return true;
}

bool take_out(Kernel k, int subscription) {
  World& w = k.world();
  Subscription& s = w.subscription[subscription];
  touch(k, subscription);
  // WARN_ON(RB_EMPTY_NODE): it was never in, or is out already.
  if (!s.in_tree && s.pending == Subscription::Pending::no) k.find(Finding::not_registered);
  if (!invalidating(w.mm[s.mm]) || s.pending == Subscription::Pending::insert) {
    s.in_tree = 0;
    s.pending = Subscription::Pending::no;
    s.order = 0;
    return false;
  }
  defer(w, s, Subscription::Pending::remove);
  return true;
}

Task<void> remove(Kernel k, int subscription) {
  const Mm& m = k.world().mm[k.world().subscription[subscription].mm];
  co_await section(k, "mmu_interval_notifier_remove");
  if (!take_out(k, subscription)) co_return;
  const int seq = m.seq;
  // mmu_interval_seq_released looks under the lock. So when it sees a new sequence, mn_itree_inv_end has finished.
  const bool with_lock = !k.with(Variant::remove_waits_without_lock);
  const LockState& lock = k.world().lock[static_cast<int>(Lock::notifier)];
  co_await k.until("mmu_interval_notifier_remove: woken",
                   [&m, &lock, seq, with_lock] { return m.seq != seq && !(with_lock && lock.writer); });
}

}  // namespace faultline::ref::protocol
