// mmu_interval_notifier_find() of "mm/hmm/test: add self tests for HMM" v6, patch 4, and what patches 2 and
// 3 of that series add to interval notifiers: put, update and the asynchronous release.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"
#include "kernels_ref/protocol/notifiers/mmu_notifier.h"

namespace faultline::ref::protocol {

// mmu_interval_notifier_find: a subscription over some of the pages [from, to], -1: there is none.
Task<int> find(Kernel k, int mm, int from, int to);
// mmu_interval_notifier_put: never sleeps. ops->release frees the object when the subscription has left the
// tree, at once or from mn_itree_inv_end.
Task<void> put(Kernel k, int subscription);
// mmu_interval_notifier_update: like remove and insert, and never sleeps.
Task<void> update(Kernel k, int subscription, int start, int last);
// mmu_interval_notifier_start, which needs no lock.
int start_of(Kernel k, int subscription);

// World::count: the most entries of tree and deferred list that one find looked at.
inline constexpr int looked_at = 2;
// World::count: set with wrong_result in find_against_changes.
inline constexpr int gave_what_is_gone = 3, missed_what_is_there = 4;

// One thread finds a subscription and uses it, another puts it, while a third invalidates its page.
Protocol find_against_put();
// One thread inserts a subscription, puts another, then updates the first; a second thread finds.
// wrong_result: no serial order of the calls gives what the find got.
Protocol find_against_changes();
// read_begin to read_retry on one subscription, which another thread updates. wrong_result: an operation was
// on the deferred list in between, but read_retry did not ask to retry.
Protocol read_against_update();
// A driver moves its subscription from page 0 to page 1 while another of its threads faults the page that
// mmu_interval_notifier_start names. wrong_result: start() after update() is not what update() was given.
Protocol fault_against_update();

}  // namespace faultline::ref::protocol
