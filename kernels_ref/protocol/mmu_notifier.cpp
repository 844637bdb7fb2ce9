#include "kernels_ref/protocol/mmu_notifier.h"

#include <algorithm>

namespace faultline::ref::protocol {

namespace {

bool overlaps(const Subscription& s, int mm, int from, int to) {
  return s.in_tree && s.mm == mm && s.start <= to && from <= s.last;
}

void defer(World& w, Subscription& s, Subscription::Pending what) {
  int last = 0;
  for (const Subscription& other : w.subscription) last = std::max<int>(last, other.order);
  s.pending = what;
  s.order = static_cast<std::uint8_t>(last + 1);
}

// mn_itree_inv_end: what was put off while the tree was being walked.
void apply_deferred(World& w, int mm) {
  for (Subscription& s : w.subscription) {
    if (s.mm != mm || s.pending == Subscription::Pending::no) continue;
    if (s.pending == Subscription::Pending::insert) s.in_tree = 1;
    if (s.pending == Subscription::Pending::remove) s.in_tree = 0;
    s.pending = Subscription::Pending::no;
    s.order = 0;
  }
}

}  // namespace

Task<void> invalidate_range_start(Kernel k, int mm, int from, int to, Callback callback) {
  World& w = k.world();
  Mm& m = w.mm[mm];
  co_await k.step("mn_itree_inv_start_range");
  ++m.active;
  for (const Subscription& s : w.subscription)
    if (overlaps(s, mm, from, to)) m.seq |= 1;
  const std::uint8_t seq = m.seq;
  for (int s = 0; s < max_subscriptions; ++s) {
    if (!overlaps(w.subscription[s], mm, from, to)) continue;
    k.record().in_callback = 1;
    co_await callback(k, {mm, s, from, to, seq});
    k.record().in_callback = 0;
  }
}

Task<void> invalidate_range_end(Kernel k, int mm) {
  World& w = k.world();
  Mm& m = w.mm[mm];
  co_await k.step("mn_itree_inv_end");
  --m.active;
  if ((m.active > 0 && !k.with(Variant::first_end_completes)) || !invalidating(m)) co_return;
  ++m.seq;
  apply_deferred(w, mm);
}

Task<int> read_begin(Kernel k, int subscription) {
  World& w = k.world();
  co_await k.step("mmu_interval_read_begin");
  const int seq = w.subscription[subscription].seq;
  const int mm = w.subscription[subscription].mm;
  if (w.mm[mm].seq == seq && !k.with(Variant::read_begin_does_not_wait))
    co_await k.until("mmu_interval_read_begin: woken", [m = &w.mm[mm], seq] { return m->seq != seq; });
  co_return seq;
}

bool read_retry(Kernel k, int subscription, int seq) {
  return k.world().subscription[subscription].seq != seq && !k.with(Variant::no_read_retry);
}

void set_seq(Kernel k, const Invalidation& invalidation) {
  if (!k.with(Variant::callback_does_not_stamp)) k.world().subscription[invalidation.subscription].seq = invalidation.seq;
}

Task<void> insert(Kernel k, int subscription, int mm, int start, int last) {
  World& w = k.world();
  Mm& m = w.mm[mm];
  Subscription& s = w.subscription[subscription];
  co_await k.step("mmu_interval_notifier_insert");
  s = {.mm = static_cast<std::uint8_t>(mm), .start = static_cast<std::uint8_t>(start), .last = static_cast<std::uint8_t>(last)};
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
}

Task<void> remove(Kernel k, int subscription) {
  World& w = k.world();
  Subscription& s = w.subscription[subscription];
  const Mm& m = w.mm[s.mm];
  co_await k.step("mmu_interval_notifier_remove");
  if (!invalidating(m)) {
    s.in_tree = 0;
    co_return;
  }
  if (s.pending == Subscription::Pending::insert) {
    s.pending = Subscription::Pending::no;
    s.order = 0;
    co_return;
  }
  defer(w, s, Subscription::Pending::remove);
  const int seq = m.seq;
  co_await k.until("mmu_interval_notifier_remove: woken", [&m, seq] { return m.seq != seq; });
}

}  // namespace faultline::ref::protocol
