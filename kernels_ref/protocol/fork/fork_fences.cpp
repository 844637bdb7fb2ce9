#include "kernels_ref/protocol/fork/fork_fences.h"

#include "kernels_ref/protocol/fork/cow.h"

namespace faultline::ref::protocol {

namespace {

// What the page holds: the device counts in the low bits, each process has a bit of its own.
constexpr int device_bits = 0x0f, parent_bit = 0x10, child_bit = 0x20;
constexpr int subscription = 0;

struct Jobs {
  int jobs, length;
  int packed() const { return jobs * 16 + length; }
  static Jobs of(int packed) { return {packed / 16, packed % 16}; }
};

// A device access lands in `frame`, to which it was translated. It may write only a page that the parent alone may write.
void land(Kernel k, int frame) {
  World& w = k.world();
  const Frame& f = w.frame[frame];
  if (w.mm[0].page[0].frame != frame) {
    if (f.mapped) k.find(Finding::wrong_page);
  } else if (f.mapped > 1) {
    k.find(Finding::stale_entry);
  }
  // Each write of the device stores the number of its writes so far. So a write that went elsewhere is missed at the end.
  const int value = ++w.device[0].written;
  w.memory[frame] = static_cast<std::uint8_t>((w.memory[frame] & ~device_bits) | value);
}

// A step of the device has passed. (It counts only if a wait has begun: a CPU may also just be slow.)
void pass(World& w) {
  const Device& d = w.device[0];
  if (!d.awaited) return;
  ++w.count[fork_waited];
  if (d.submitting) ++w.count[queue_waited];
}

template <typename Condition>
Task<void> wait_for_device(Kernel k, const char* label, Condition condition) {
  World& w = k.world();
  Device& d = w.device[0];
  if (!condition()) {
    d.awaited = w.mm[1].users == 0;  // in fork, that is, not in the COW break after it
    co_await k.until(label, condition);
    d.awaited = 0;
  }
}

// --- what the driver's notifier does in each class ---

Task<void> invalidate_recoverable(Kernel k, Invalidation i) {
  Device& d = k.world().device[0];
  if (k.with(Variant::device_without_notifier)) co_return;
  co_await k.lock(Lock::driver, "invalidate: lock(driver)");
  set_seq(k, i);
  d.entry[0] = {};
  if (!k.with(Variant::no_device_flush))
    co_await wait_for_device(k, "invalidate: the device's TLB is flushed", [&d] { return d.busy == 0; });
  k.unlock(Lock::driver);
}

Task<void> invalidate_preempt(Kernel k, Invalidation i) {
  Device& d = k.world().device[0];
  if (k.with(Variant::device_without_notifier)) co_return;
  co_await k.lock(Lock::driver, "invalidate: lock(driver)");
  set_seq(k, i);
  d.stopping = 1;
  co_await wait_for_device(k, "invalidate: queues are evicted", [&d] { return d.stopped != 0; });
  d.entry[0] = {};
  k.queue_work(Lock::work);
  k.unlock(Lock::driver);
}

Task<void> invalidate_userptr(Kernel k, Invalidation i) {
  World& w = k.world();
  Device& d = w.device[0];
  if (k.with(Variant::device_without_notifier)) co_return;
  co_await k.lock(Lock::driver, "invalidate: lock(notifier_lock)");
  set_seq(k, i);
  d.entry[0] = {};
  k.wants(Lock::fence_a);
  co_await wait_for_device(k, "invalidate: dma_resv_wait_timeout", [&d] { return d.queued == 0; });
  k.unlock(Lock::driver);
}

Task<void> invalidate_nothing(Kernel, Invalidation) { co_return; }

Callback invalidate_of(int kind) {
  switch (static_cast<DeviceKind>(kind)) {
    case DeviceKind::recoverable: return invalidate_recoverable;
    case DeviceKind::preempt_and_restore: return invalidate_preempt;
    case DeviceKind::userptr: return invalidate_userptr;
    case DeviceKind::pinned: return invalidate_nothing;
    case DeviceKind::count_: break;
  }
  return nullptr;
}

// read_begin, hmm_range_fault, the driver's lock, read_retry. Returns with the lock held.
Task<Page> get_pages(Kernel k, Callback callback) {
  World& w = k.world();
  while (true) {
    const int seq = co_await read_begin(k, subscription);
    co_await k.read_lock(Lock::mmap_a);
    co_await k.step("hmm_range_fault");
    co_await do_wp_page(k, 0, 0, callback);
    const Page page = w.mm[0].page[0];
    k.read_unlock(Lock::mmap_a);
    co_await k.lock(Lock::driver);
    if (!read_retry(k, subscription, seq)) co_return page;
    k.unlock(Lock::driver);
  }
}

Task<void> device_recoverable(Kernel k, int length) {
  Device& d = k.world().device[0];
  for (int i = 0; i < length; ++i) {
    while (true) {
      co_await k.step("device: translate");
      if (d.entry[0].writable) break;
      const Page page = co_await get_pages(k, invalidate_recoverable);
      co_await k.step("fault handler: program the device");
      d.entry[0] = page;
      k.unlock(Lock::driver);
    }
    d.busy = d.entry[0].frame;
    co_await k.step("device: the write lands");
    land(k, d.busy);
    d.busy = 0;
    pass(k.world());
  }
  k.returns();
}

Task<void> device_preempt(Kernel k, int length) {
  Device& d = k.world().device[0];
  for (int i = 0; i < length; ++i) {
    co_await k.step("device: write");
    if (d.stopping) {
      co_await k.step("device: save the state of the waves");
      pass(k.world());
      d.stopped = 1;
      co_await k.until("device: restored", [&d] { return !d.stopping; });
      d.stopped = 0;
    }
    d.busy = d.entry[0].frame;
    co_await k.step("device: the write lands");
    land(k, d.busy);
    d.busy = 0;
    pass(k.world());
  }
  d.stopped = 1;  // an idle queue is evicted at once
}

Task<void> restore_worker(Kernel k, int) {
  World& w = k.world();
  Device& d = w.device[0];
  while (true) {
    co_await k.until("restore worker: queued", [&w] { return w.work[0].queued != 0; });
    k.begin_work(Lock::work);
    const Page page = co_await get_pages(k, invalidate_preempt);
    d.entry[0] = page;
    d.stopping = 0;
    k.unlock(Lock::driver);
    k.end_work(Lock::work);
  }
}

Task<void> submit_jobs(Kernel k, int packed) {
  Device& d = k.world().device[0];
  Page page = d.entry[0];  // the buffer's pages
  for (int i = 0; i < Jobs::of(packed).jobs; ++i) {
    co_await k.until("submit: room in the queue", [&d] { return d.queued == 0; });
    if (!k.with(Variant::submission_ignores_notifier)) {
      d.submitting = 1;
      co_await k.lock(Lock::driver, "submit: lock(notifier_lock)");
      if (!d.entry[0].frame) {
        k.unlock(Lock::driver);
        page = co_await get_pages(k, invalidate_userptr);
        d.entry[0] = page;
      }
      d.submitting = 0;
    }
    d.job[i] = page.frame;
    ++d.queued;
    if (k.holds_write(Lock::driver)) k.unlock(Lock::driver);
  }
  k.returns();
}

Task<void> device_userptr(Kernel k, int packed) {
  Device& d = k.world().device[0];
  const Jobs all = Jobs::of(packed);
  for (int job = 0; job < all.jobs; ++job) {
    co_await k.until("device: a job", [&d] { return d.queued != 0; });
    k.begin_signalling(Lock::fence_a);
    for (int i = 0; i < all.length; ++i) {
      co_await k.step("device: a step of the job");
      land(k, d.job[job]);
      pass(k.world());
    }
    d.job[job] = 0;
    --d.queued;
    k.end_signalling(Lock::fence_a);
  }
}

Task<void> device_pinned(Kernel k, int length) {
  const int how = gup_write | (k.with(Variant::pins_are_plain_references) ? gup_get : 0);
  const int frame = co_await get_user_pages(k, 0, 0, how, invalidate_nothing);
  for (int i = 0; i < length; ++i) {
    co_await k.step("device: write to the pinned page");
    land(k, frame);
    pass(k.world());
  }
  how& gup_get ? drop_ref(k.world(), frame) : unpin_frame(k.world(), frame);
}

// --- the process ---

Task<void> forker(Kernel k, int kind) {
  World& w = k.world();
  co_await dup_mmap(k, 1, invalidate_of(kind));
  w.mm[1].users = 1;
  co_await cpu_store(k, 0, 0, parent_bit, invalidate_of(kind));
  k.returns();
}

Task<void> child(Kernel k, int) {
  World& w = k.world();
  co_await k.until("child: runs", [&w] { return w.mm[1].users != 0; });
  co_await cpu_store(k, 1, 0, child_bit, invalidate_nothing);
  k.returns();
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].seq = w.mm[1].seq = 2;
  map_exclusive(w, 0, 0);
  w.device[0].entry[0] = w.mm[0].page[0];
  w.subscription[0] = {.in_tree = 1, .seq = 1};
}

void everything_arrived(World& w) {
  const int parent = w.memory[w.mm[0].page[0].frame];
  const int child = w.memory[w.mm[1].page[0].frame];
  if ((parent & device_bits) != w.device[0].written || !(parent & parent_bit)) w.findings |= bit(Finding::lost_write);
  if (parent & child_bit || child & parent_bit) w.findings |= bit(Finding::wrong_result);
}

std::string child_sees(const World& w) { return "child=" + std::to_string(w.memory[w.mm[1].page[0].frame] & device_bits); }

// --- a fence that waits for a fence ---

Task<void> invalidate_b(Kernel k, Invalidation i) {
  co_await k.lock(Lock::driver_b, "device B's invalidate: lock(notifier_lock)");
  set_seq(k, i);
  k.wants(Lock::fence_b);
  co_await wait_for_device(k, "device B's invalidate: dma_fence_wait", [k] { return k.fence_of(Lock::fence_b).signalled != 0; });
  k.unlock(Lock::driver_b);
}

Task<void> fork_behind_b(Kernel k, int apart) {
  if (apart) co_await k.until("fork: begins later", [k] { return k.fence_of(Lock::fence_a).signalled != 0; });
  co_await dup_mmap(k, 1, invalidate_b);
  k.returns();
}

Task<void> job_on_a(Kernel k, int length) {
  k.begin_signalling(Lock::fence_a);
  for (int i = 0; i < length; ++i) {
    co_await k.step("device A: a step of the job");
    pass(k.world());
  }
  if (k.with(Variant::job_faults_under_its_fence)) {
    co_await k.read_lock(Lock::mmap_a, "device A: its page fault's mmap_read_lock");
    co_await k.step("device A: handle_mm_fault");
    k.read_unlock(Lock::mmap_a);
  }
  k.signal(Lock::fence_a);
  k.end_signalling(Lock::fence_a);
  k.returns();
}

Task<void> job_on_b(Kernel k, int length) {
  k.begin_signalling(Lock::fence_b);
  co_await k.wait_fence(Lock::fence_a, "device B: waits for the fence of A");
  for (int i = 0; i < length; ++i) {
    co_await k.step("device B: a step of the job");
    pass(k.world());
  }
  k.signal(Lock::fence_b);
  k.end_signalling(Lock::fence_b);
  k.returns();
}

Protocol chain(int length, bool apart) {
  return {.name = "a fence behind a fence",
          .threads = {{"fork", fork_behind_b, apart}, {"device A", job_on_a, length}, {"device B", job_on_b, length}},
          .start = start};
}

}  // namespace

Protocol fork_with_device(DeviceKind kind, int length, bool child_writes) {
  Protocol p{.name = "fork with a device", .start = start, .at_end = everything_arrived, .outcome = child_sees};
  p.threads = {{"parent", forker, static_cast<int>(kind)}};
  if (child_writes) p.threads.push_back({"child", child});
  if (kind == DeviceKind::recoverable) p.threads.push_back({"device", device_recoverable, length});
  if (kind == DeviceKind::userptr) {
    p.threads.push_back({"queue", submit_jobs, Jobs{1, length}.packed()});
    p.threads.push_back({"device", device_userptr, Jobs{1, length}.packed()});
  }
  if (kind == DeviceKind::pinned) p.threads.push_back({"device", device_pinned, length});
  if (kind == DeviceKind::preempt_and_restore) {
    p.threads.push_back({"device", device_preempt, length});
    p.threads.push_back({"restore", restore_worker, 0, true});
  }
  return p;
}

Protocol fork_with_queue(int jobs, int length) {
  Protocol p = fork_with_device(DeviceKind::userptr, length, false);
  for (ThreadOf& t : p.threads)
    if (t.run != forker) t.argument = Jobs{jobs, length}.packed();
  return p;
}

Protocol fence_chain(int length) { return chain(length, false); }
Protocol fence_chain_apart(int length) { return chain(length, true); }

}  // namespace faultline::ref::protocol
