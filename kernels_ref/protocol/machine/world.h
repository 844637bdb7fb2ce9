// The machine on which kernel protocols are modelled: locks, objects, fences, work, notifiers and just as
// much of an mm as they need. It is small, so that every interleaving can be visited. The whole mm with its
// values is the World of mm/world.h.
//
// Plain bytes as kernels_ref/engine/subject.h wants them: a shared part that names no thread, and a Record for
// each thread. A protocol uses what it needs and leaves the rest as it is.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

namespace faultline::ref::protocol {

inline constexpr int max_threads = 8;

// What a thread can wait for while another thread has it: locks, and what lockdep treats like a lock.
enum class Lock : std::uint8_t {
  mmap_a,       // mm->mmap_lock of the first process
  mmap_b,       // and of the second
  notifier,     // subscriptions->lock, a spinlock
  srcu,         // the notifiers' SRCU domain
  hmm,          // hmm->lock and hmm->mirrors_sem of 2019
  driver,       // the lock that invalidate() takes: svmm->mutex, dmirror->mutex, notifier_lock
  driver_b,     // of a second device
  svms,         // svms->lock, process_info->lock and their like, taken around the driver's own
  reservation,  // dma_resv of a buffer
  fence_a,      // fence of a job on device A: held by its signalling section, taken by waiters
  fence_b,
  work,  // a work item: held while it runs, taken by flush and cancel_sync
  work_b,
  page,     // folio lock
  rmap,     // anon_vma->rwsem, i_mmap_rwsem
  process,  // process_info->lock of amdkfd
  count_
};
inline constexpr int lock_count = static_cast<int>(Lock::count_);
static_assert(lock_count <= 16);  // bits of Record::held_read

struct LockState {
  std::uint8_t readers = 0;
  std::uint8_t writer = 0;
  std::uint8_t waiting_writers = 0;  // a pending writer keeps new readers out
};

// An allocation whose life is tracked: using it after it was freed is a finding.
struct Object {
  enum class Life : std::uint8_t { none, live, freed };
  Life life = Life::none;
  std::uint8_t refs = 0;
};
inline constexpr int max_objects = 6;

struct Fence {
  std::uint8_t signalled = 0;
  std::uint8_t left = 0;  // steps of its job that remain
};

struct Work {
  std::uint8_t queued = 0;
  std::uint8_t running = 0;
};

// One page of one mm. Frames are numbers: equal number, same page of memory. 0: no page.
struct Page {
  std::uint8_t frame = 0;
  std::uint8_t writable = 0;
  std::uint8_t dirty = 0;
};
inline constexpr int max_pages = 2;
inline constexpr int max_frames = 6;  // 1 and up are used

// A page of memory without its contents (World::memory). Its refcount is the sum of the first three.
struct Frame {
  std::uint8_t mapped = 0;     // mapcount
  std::uint8_t refs = 0;       // references that are neither a mapping nor a pin
  std::uint8_t pins = 0;       // FOLL_PIN
  std::uint8_t exclusive = 0;  // PageAnonExclusive
  std::uint8_t dirty = 0;
};

struct Mm {
  std::uint8_t users = 0;      // mm_users
  std::uint8_t count = 0;      // mm_count, the struct itself; Object-like: 0 is freed
  std::uint8_t mapped = 1;     // the VMA is there
  std::uint8_t vma_start = 0;  // the VMA's first page; the VMA ends with the last page
  std::uint8_t dying = 0;      // exit_mmap has begun
  std::array<Page, max_pages> page{};
  // struct mmu_notifier_subscriptions
  std::uint8_t active = 0;             // active_invalidate_ranges
  std::uint8_t seq = 0;                // invalidate_seq: odd while some subscribed range is invalidated, else even
  std::uint8_t listed = 0;             // bit for each struct mmu_notifier on its list
  std::uint8_t write_protect_seq = 0;  // odd while fork copies its page tables
};
inline constexpr int max_mms = 2;

// struct mmu_interval_notifier.
struct Subscription {
  enum class Pending : std::uint8_t { no, insert, remove, update };
  std::uint8_t holder = 0;  // 1 + the object that it lies in; 0: its life is not tracked
  std::uint8_t mm = 0;
  std::uint8_t in_tree = 0;
  Pending pending = Pending::no;
  std::uint8_t order = 0;                    // place on the deferred list, 1 first; 0: not on it
  std::uint8_t start = 0, last = 0;          // what the tree holds, in pages
  std::uint8_t new_start = 0, new_last = 0;  // with Pending::update
  std::uint8_t seq = 0;                      // its invalidate_seq
  std::uint8_t freeing = 0;                  // when it has left the tree, ops->release is called and frees the object
};
inline constexpr int max_subscriptions = 3;

// A device's own page table and queue.
struct Device {
  std::array<Page, max_pages> entry{};
  std::uint8_t stopped = 0;           // queues evicted
  std::uint8_t queued = 0;            // faults or jobs that wait
  std::uint8_t busy = 0;              // the frame of an access that is translated but has not landed
  std::uint8_t stopping = 0;          // it is asked to stop, or may not go on
  std::uint8_t awaited = 0;           // somebody on a CPU waits for it now
  std::uint8_t submitting = 0;        // a submission is under way
  std::uint8_t written = 0;           // writes that it has made
  std::array<std::uint8_t, 4> job{};  // frame that each job was given
};
inline constexpr int max_devices = 2;

// struct hmm of July 2019 and the one struct hmm_range on its list, which lies on the stack of a driver's
// fault worker.
struct Hmm {
  std::uint8_t linked = 0;      // mm->hmm points to it
  std::uint8_t dead = 0;        // hmm_release has run
  std::uint8_t notifiers = 0;   // invalidations that run
  std::uint8_t registered = 0;  // the range is on hmm->ranges
  std::uint8_t valid = 0;       // range->valid
  std::uint8_t collided = 0;    // an invalidation began since the range was waited for
  std::uint8_t on_stack = 0;    // the function that has the range on its stack is running
};

struct Record {
  std::uint16_t held_read = 0, held_write = 0;  // bit per Lock
  std::uint8_t in_callback = 0;
  std::uint8_t finished = 0;
  std::array<std::uint8_t, 4> result{};  // of its calls; the protocol says what they mean
};

struct World {
  std::uint32_t findings = 0;  // bit per Finding
  std::array<LockState, lock_count> lock{};
  std::array<Object, max_objects> object{};
  std::array<Fence, 2> fence{};
  std::array<Work, 2> work{};
  std::array<std::uint8_t, max_frames> memory{};  // what each frame holds
  std::array<Frame, max_frames> frame{};
  std::array<Mm, max_mms> mm{};
  std::array<Subscription, max_subscriptions> subscription{};
  std::array<Device, max_devices> device{};
  Hmm hmm{};
  std::array<std::uint8_t, 8> count{};  // costs and marks; the protocol says what they mean
  std::array<Record, max_threads> record{};
};
static_assert(std::is_trivially_copyable_v<World>);

enum class Finding : std::uint8_t {
  unlock_not_held,  // a lock is released that its thread does not hold
  lock_at_return,   // a call returns with a lock held
  lock_recursion,   // a thread takes a lock that it holds
  missing_lock,     // a function was called without the lock that it needs
  use_after_free,
  double_free,
  not_registered,  // unregisters what is not registered
  null_pointer,
  list_corruption,  // something is added to a list that has it already
  stale_entry,      // outside an invalidation the device maps what the CPU does not
  wrong_page,       // a device access reached a page that is not the mm's any more
  wrong_result,     // a call gave a result that no serial order of the calls gives
  lost_write,
  needless_fault,   // an access faults although nothing took its mapping away
  leak,             // something is left behind at the end
  sleep_in_atomic,  // something that sleeps under a spinlock, or in a callback that must not
  order_cycle,      // locks, fences and work wait for each other in a circle, in some executions
  waits_for_ever,
  livelock,
  count_
};
inline constexpr int finding_count = static_cast<int>(Finding::count_);

}  // namespace faultline::ref::protocol
