#include "kernels_ref/protocol/notifiers/interval_notifier.h"

#include "kernels_ref/protocol/notifiers/mmu_notifier.h"

namespace faultline::ref::protocol {

namespace {

// A frame's number says how often the page has been replaced, so a stale entry has a smaller number.
constexpr int subscription = 0;

// A driver's invalidate() for a page of its own table.
Task<void> drop_entry(Kernel k, Invalidation i) {
  const bool locked = !k.with(Variant::callback_without_lock);
  if (locked) co_await k.lock(Lock::driver, "invalidate: lock(driver)");
  set_seq(k, i);
  co_await k.step("invalidate: drop the device's entries");
  for (int p = i.from; p <= i.to; ++p) k.world().device[0].entry[p] = {};
  if (locked) k.unlock(Lock::driver);
}

Task<void> invalidator(Kernel k, int rounds) {
  Page& pte = k.world().mm[0].page[0];
  for (int round = 0; round < rounds; ++round) {
    const bool notified = !k.with(Variant::changes_without_notification);
    if (notified) co_await invalidate_range_start(k, 0, 0, 0, drop_entry);
    co_await k.step("change the PTE");
    ++pte.frame;
    if (notified) co_await invalidate_range_end(k, 0);
  }
  k.returns();
}

// One pass of a driver's fault handler; counts `round` unless it has to start over. It is a function of its
// own without a result, so that nothing that a pass has read outlives the pass.
Task<void> fault_once(Kernel k, int* round) {
  World& w = k.world();
  const int seq = co_await read_begin(k, subscription);
  co_await k.step("hmm_range_fault");
  const Page page = w.mm[0].page[0];
  if (k.with(Variant::programs_before_lock)) {
    co_await k.step("program the device, without the lock");
    w.device[0].entry[0] = page;
  }
  co_await k.lock(Lock::driver);
  if (read_retry(k, subscription, seq)) {
    k.unlock(Lock::driver);
    co_return;
  }
  co_await k.step("program the device");
  w.device[0].entry[0] = page;
  k.unlock(Lock::driver);
  ++*round;
}

Task<void> faulter(Kernel k, int rounds) {
  for (int round = 0; round < rounds;) co_await fault_once(k, &round);
  k.returns();
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].page[0] = {1, 1};
  w.mm[0].seq = 2;
  w.subscription[0] = {.in_tree = 1, .seq = 1};
}

void entry_is_current(World& w) {
  const Page& entry = w.device[0].entry[0];
  if (w.mm[0].active == 0 && entry.frame != 0 && entry.frame != w.mm[0].page[0].frame) w.findings |= bit(Finding::stale_entry);
}

std::string outcome(const World& w) {
  const int entry = w.device[0].entry[0].frame;
  return "pte=" + std::to_string(w.mm[0].page[0].frame) + " entry=" + std::to_string(entry);
}

}  // namespace

Protocol interval_notifier(int invalidators, int faulters, int rounds) {
  Protocol p{.name = "interval notifier", .start = start, .always = entry_is_current, .outcome = outcome};
  for (int i = 0; i < invalidators; ++i) p.threads.push_back({"invalidator", invalidator, rounds});
  for (int i = 0; i < faulters; ++i) p.threads.push_back({"faulter", faulter, rounds});
  return p;
}

}  // namespace faultline::ref::protocol
