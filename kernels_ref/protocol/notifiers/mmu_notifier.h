// mm/mmu_notifier.c: interval notifiers with their sequence numbers, tree and deferred list.
//
// invalidate_seq is even while no subscribed range is being invalidated and odd while one is; it moves on
// to the next even number when the last of all running invalidations ends. Sections under
// subscriptions->lock do not sleep and are one step each.
#pragma once

#include "kernels_ref/protocol/machine/kernel.h"

namespace faultline::ref::protocol {

// invalidate(): the driver's callback, given the pages [from, to] and the sequence to set.
struct Invalidation {
  int mm, subscription;
  int from, to;
  std::uint8_t seq;
};
using Callback = Task<void> (*)(Kernel, Invalidation);

inline bool invalidating(const Mm& mm) { return mm.seq & 1; }

// A section under subscriptions->lock, as one step. A thread holds the lock over a step only under
// Variant::remove_waits_without_lock, which needs to show the inside of a section.
inline auto section(Kernel k, const char* label) {
  return k.until(label, [lock = &k.world().lock[static_cast<int>(Lock::notifier)]] { return !lock->writer; });
}
// Follows a pointer to the subscription: its object must be live.
inline void touch(Kernel k, int subscription) {
  if (const int holder = k.world().subscription[subscription].holder) k.use(holder - 1);
}
// Adds to the end of the deferred list.
void defer(World& w, Subscription& s, Subscription::Pending what);

// mmu_notifier_invalidate_range_start and _end, around a change of the pages [from, to] of the mm.
Task<void> invalidate_range_start(Kernel k, int mm, int from, int to, Callback callback);
Task<void> invalidate_range_end(Kernel k, int mm);

// mmu_interval_read_begin: the sequence to give to read_retry. Sleeps if the subscription's own callback
// has run for an invalidation that has not ended yet.
Task<int> read_begin(Kernel k, int subscription);
// mmu_interval_read_retry, under the driver's lock: true, the pages may have changed.
bool read_retry(Kernel k, int subscription, int seq);
// mmu_interval_set_seq, from the callback, under the driver's lock.
void set_seq(Kernel k, const Invalidation& invalidation);

// mmu_interval_notifier_insert: false, the mm has no users any more (-EINVAL), and nothing was inserted.
Task<bool> insert(Kernel k, int subscription, int mm, int start, int last);
// mmu_interval_notifier_remove: sleeps until a running invalidation has ended.
Task<void> remove(Kernel k, int subscription);
// What remove does under the lock. False: the subscription left the tree (or the deferred list) at once.
bool take_out(Kernel k, int subscription);

}  // namespace faultline::ref::protocol
