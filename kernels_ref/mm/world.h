// The modelled machine: everything that threads share, as plain bytes.
//
// The explorer copies, hashes and compares states as bytes (explorer.h). So a World holds only values and
// indices: no pointer to the heap, and no two encodings of the same thing. A field that has lost its
// meaning (a freed frame, an invalid entry) is set back to its initial value.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "harness/program.h"

namespace faultline::ref {

inline constexpr int max_slots = limits::spans;  // of the address space that all mms share
inline constexpr int max_mms = limits::processes;
inline constexpr int max_threads = limits::threads;
inline constexpr int max_frames = 128;
inline constexpr int max_objects = 8 + limits::files;  // files, and shared memory objects alive at a time
inline constexpr int max_statements = limits::operations;
inline constexpr int max_stale = 2;  // old translations of one page alive at a time
inline constexpr std::uint8_t none = 0xff;
inline constexpr std::uint8_t zero_page = 0xfe;  // as a device entry's frame

using Slot = int;      // index of a span (harness/spans.h), which the reference treats as one page
using FrameId = int;   // index of a page frame
using MmId = int;      // index of an mm: the same as its process's
using MirrorId = int;  // index of an open file of a device, which mirrors the mm of the process that opened it

inline constexpr int max_mirrors = max_mms * limits::devices;
constexpr MirrorId mirror_id(int device, MmId opener) { return device * max_mms + opener; }
constexpr MmId mm_of(MirrorId mirror) { return mirror % max_mms; }
constexpr int device_of(MirrorId mirror) { return mirror / max_mms; }

// What a page holds: a value, and the cell through which it was stored. `home` none: nothing was ever stored.
struct Contents {
  std::uint8_t home = none;  // Slot
  std::uint8_t value = 0;
  friend bool operator==(const Contents&, const Contents&) = default;
};

// struct page.
struct Frame {
  enum class Kind : std::uint8_t { free, anon, shared, device };
  Kind kind = Kind::free;
  Contents contents;
  std::uint8_t mapcount = 0;    // page-table entries (migration entries too) of any mm
  std::uint8_t refs = 0;        // other references: mmu_gather, a copy in progress, the page cache
  std::uint8_t exclusive = 0;   // PageAnonExclusive
  std::uint8_t locked = 0;      // PG_locked
  std::uint8_t folio = 0;       // the number of its large folio; 0: none
  std::uint8_t owner = none;    // device pages: the mirror that migrated it (zone_device_data)
  std::uint8_t pins = 0;        // FOLL_PIN
  std::uint8_t entry_lost = 0;  // device pages: a migration back failed after it had erased the device's entry
  std::uint8_t dropped = 0;     // has left the page cache; a fault brings it back with its contents
  std::uint8_t lingering = 0;   // bits: a closed ring or a finished transfer may still hold a pin (1), a reference (2)
};

struct Pte {
  enum class Kind : std::uint8_t { none, page, zero, device, migration, exclusive };
  Kind kind = Kind::none;
  std::uint8_t frame = none;
  std::uint8_t writable = 0;
  std::uint8_t protnone = 0;  // present, but not accessible (PROT_NONE)
  std::uint8_t lazyfree = 0;  // MADV_FREE made it clean, and no CPU has stored through it since
  std::uint8_t huge = 0;      // a PMD maps it, together with the rest of its huge page
  std::uint8_t uffd_wp = 0;   // _PAGE_UFFD_WP: write-protected by userfaultfd. It means something only in a VMA with VM_UFFD_WP
  friend bool operator==(const Pte&, const Pte&) = default;
};

// A translation that some CPU may still hold in its TLB though the entry has changed. A CPU can store through it
// only if the old entry was writable and dirty. Every writable entry counts as dirty, except after MADV_FREE.
struct Stale {
  Pte pte;  // kind none: unused
};

// The VMA around one page. Adjacent pages belong to one VMA, unless `head` says that a new VMA starts.
struct VmaPage {
  enum class Account : std::uint8_t { no, yes, maybe };  // VM_ACCOUNT; maybe: depends on the kernel's version
  Backing backing = Backing::none;                       // a stack: anon_private
  std::uint8_t read = 0, write = 0;
  std::uint8_t dontfork = 0, wipeonfork = 0, hugepage = 0;
  std::uint8_t growsdown = 0;                  // VM_GROWSDOWN
  std::uint8_t uffd_missing = 0, uffd_wp = 0;  // VM_UFFD_MISSING, VM_UFFD_WP: registered with the process's userfaultfd
  std::uint8_t head = 0;
  Account account = Account::no;
  std::uint8_t pgoff = none;   // which page of the object; anonymous: where it was first mapped (Shape::pgoff)
  std::uint8_t anon_vma = 0;   // 0: never written; else an identity, for merging
  std::uint8_t inherited = 0;  // its anon_vma_chain begins with a parent's anon_vma, so it is not singular
  std::uint8_t object = none;  // a file, or the one behind a shared anonymous mapping
  std::uint8_t locked = 0;     // vma_start_write: user faults under the per-VMA lock must wait
  std::uint8_t faulting = 0;   // user faults on this page that hold the per-VMA lock
  bool mapped() const { return backing != Backing::none; }
  bool is_private() const { return backing == Backing::anon_private || backing == Backing::file_private; }
  bool accessible() const { return read || write; }
  bool uffd_armed() const { return uffd_missing || uffd_wp; }
};

struct Mm {
  std::uint8_t users = 0;              // mm_users: threads and mmget() holders
  std::uint8_t writer = 0;             // mmap_lock held for write (fork holds the parent's)
  std::uint8_t readers = 0;            // mmap_lock held for read
  std::uint8_t invalidating = 0;       // active_invalidate_ranges
  std::uint8_t notifiers = 0;          // mm->notifier_subscriptions exists
  std::uint8_t write_protect_seq = 0;  // odd while fork() write-protects pages
  std::array<VmaPage, max_slots> vma{};
  std::array<Pte, max_slots> pte{};
  std::array<std::array<Stale, max_stale>, max_slots> stale{};
};

// A file, or the tmpfs object behind a shared anonymous mapping: struct inode with its page cache.
struct Object {
  std::uint8_t mappings = 0;  // VmaPages that refer to it, and the open file; 0: free
  std::uint8_t size = 0;      // i_size, in spans
  std::uint8_t locked = 0;    // inode_lock
  std::uint8_t walked = 0;    // i_mmap_lock_read: somebody walks its VMAs
  std::array<std::uint8_t, limits::spans_per_region> frame{};
};

// An entry of the device's own page table (test_hmm: dmirror->pt).
struct DeviceEntry {
  std::uint8_t frame = none;
  std::uint8_t writable = 0;
  std::uint8_t atomic = 0;  // DPT_XA_TAG_ATOMIC: the page is exclusive to the device; no DPT_XA_TAG_WRITE
  bool valid() const { return frame != none; }
};

inline constexpr auto no_pins = [] {
  std::array<std::uint8_t, max_slots> pins{};
  pins.fill(none);
  return pins;
}();

// One open file of a device.
struct Mirror {
  std::uint8_t files = 0;       // processes that hold the descriptor; 0: closed
  std::uint8_t locked = 0;      // dmirror->mutex
  std::uint8_t copying = none;  // the device page that dmirror_do_read or _write copies, under the mutex
  std::uint8_t stamped = 0;     // the subscription's invalidate_seq is the mm's current, odd one
  std::array<DeviceEntry, max_slots> entry{};
  // Frames that are held, by address. A pinned device has nothing else; a recoverable device cannot migrate them.
  std::array<std::uint8_t, max_slots> pin = no_pins;
  std::uint32_t reads = 0;    // bit per address: held for reading only; the frame may be the zero page
  std::uint32_t pinning = 0;  // the executor's lock for the pins
};

// A page as amdkfd's SVM knows it (amdkfd/ranges.h). `in`: the page is in a struct svm_range. A range is the run of pages
// from one `head` to the next. One notifier covers the run of ranges from one `notifier` to the next.
struct SvmPage {
  std::uint8_t in : 1, head : 1, notifier : 1;
  std::uint8_t mapped : 1;   // its range's mapped_to_gpu
  std::uint8_t vram : 1;     // its range's actual_loc
  std::uint8_t invalid : 1;  // its range's: the restore worker has to map the range
  std::uint8_t gone : 1;     // SVM_OP_UNMAP_RANGE: munmap() cut it off, and the deferred work has not freed it yet
  std::uint8_t repeats : 1;  // a fault on it was answered, but may be in the interrupt ring once more
};

// struct svm_range_list of a process.
struct Svms {
  std::array<SvmPage, max_slots> page{};
  std::uint8_t locked = 0;
  std::uint8_t deferred = 0;       // deferred_range_list is not empty
  std::uint8_t evicted = 0;        // evicted_ranges is not 0: the queues are stopped
  std::uint8_t evicted_again = 0;  // ... and something was evicted since the restore worker began
  std::uint8_t failed = 0;         // the program has ended, and the restore worker could not map all ranges
  std::uint8_t validating = none;  // first page of the range that is being mapped
  std::uint8_t collided = 0;       // ... and its notifier was called since
  std::uint8_t late = 0;           // its entries are there, but it does not count as mapped yet
};

struct ProcessState {
  enum class Life : std::uint8_t { unborn, alive, zombie, reaped };
  Life life = Life::unborn;
  std::uint8_t ending = 0;        // SIGNAL_GROUP_EXIT: exit() or a SIGKILL is on its way to every thread
  std::uint8_t killed = 0;        // ... and it was a signal, not exit()
  std::uint8_t threads = 0;       // that have not gone through exit_mm
  std::uint16_t descriptors = 0;  // bit per mirror: holds that file
  std::uint16_t started = 0;      // its threads run (a forked process opens its device first)
};

struct ThreadState {
  enum class Life : std::uint8_t { waiting, running, done, dead };
  Life life = Life::waiting;
  std::uint8_t next = 0;          // statement
  std::uint8_t collided = 0;      // a callback stamped the subscription since this thread's read_begin
  std::uint8_t reading = none;    // the mirror that this thread is reading for (read_begin to read_retry) ...
  std::uint8_t asked = none;      // ... for this page
  std::uint8_t moved = 0;         // ... and a migration to the device has stored its entry since hmm_range_fault()
  std::uint8_t retries = none;    // its device's access to this page (Slot) has faulted, and amdkfd may yet be at work on that
  std::uint8_t userfault = none;  // it sleeps in handle_userfault() for this page (Slot) of its own process
  std::uint8_t fail_nth = 0;      // current->fail_nth: which allocation of a page fails (page_failure.h)
  std::uint8_t interrupted = 0;   // a SIGKILL has ended that sleep, so the thread never returns to user space
  std::array<std::uint8_t, limits::barriers> arrivals{};
};

// Result of one statement, in a few bytes. scenario/outcome_text.cpp makes its text.
struct Result {
  enum class Kind : std::uint8_t { none, ok, contents, error, signal, exited, killed, letters };
  Kind kind = Kind::none;
  std::uint8_t faulted = 0;
  Contents contents;          // kind contents
  std::uint32_t number = 0;   // errno or signal
  std::uint64_t letters = 0;  // snapshot: 4 bits a page, index into snapshot_alphabet
};
inline constexpr char snapshot_alphabet[] = "!.rwzZdD";

struct World {
  std::array<ThreadState, max_threads> thread{};
  std::array<ProcessState, max_mms> process{};
  std::array<Frame, max_frames> frame{};
  std::array<Object, max_objects> object{};
  std::array<Mirror, max_mirrors> mirror{};
  std::array<Mm, max_mms> mm{};
  std::array<Svms, max_mms> svms{};
  std::array<Result, max_statements> result{};         // of all threads, thread by thread
  std::uint16_t direct_io = none;                      // whether this kernel's O_DIRECT pins; none: not chosen yet
  std::uint16_t gup_grows = none;                      // whether this kernel's GUP extends a stack; none: not chosen yet
  std::uint32_t known_bugs = 0;                        // bit per MetBug that this execution ran into
  std::array<std::uint64_t, limits::observes> told{};  // the events that the driver has reported, for observes of events
  std::uint32_t broken = 0;                            // bit per Broken: the execution ends here
  std::uint8_t page_lockers = 0;                       // calls under way that lock some anonymous pages for a moment
  std::uint8_t isolators = 0;                          // ... that also take them off the LRU list, with a reference
  std::uint16_t pin_waits = none;  // whether this kernel's io_pin_pages waits for a userfault; none: not chosen yet
};
static_assert(std::is_trivially_copyable_v<World>);
// Types that are assigned as a whole have no padding: it would be copied with arbitrary contents, and equal states would differ.
template <typename... Parts>
inline constexpr bool without_padding = (std::has_unique_object_representations_v<Parts> && ...);
static_assert(without_padding<ThreadState, ProcessState, Frame, Object, Mirror, Mm, Svms, Result>);

// Known kernel bugs that an execution ran into. A scenario must keep away from them, because they leave the outcome undefined.
// The names are those of the table of known bugs (harness/run/known_bugs.cpp).
enum class MetBug : int {
  erased_private_read,      // READ of an own device-private page after its entry was erased
  read_only_private_write,  // WRITE to one that is read-only
  unstamped_migration,      // a fault begun before a migration installs the old, freed page
  miscounted_private_page,  // READ or WRITE of one after a migration back erased its entry and then failed
  freed_private_copy,       // a page of the device is freed while READ or WRITE copies it
  stale_migrated_entry,     // a migration stores a device entry for a page that was zapped meanwhile
  stale_exclusive_entry,    // the same for a page that was made exclusive to the device
  dead_mm_spin,             // a device fault when the opener's mm is gone: some kernels spin for ever
  lost_location,            // amdkfd believes that a page in VRAM is in system memory, and never brings it back
  kept_entry,               // amdkfd maps a part of a range, fails, and forgets that it is mapped
  writable_shared_vram,     // amdkfd lets the GPU write to a page in VRAM that fork() has shared
  late_mapping,             // amdkfd is told of an invalidation when it has just mapped a range, and does not know it yet
  unrestored_range,         // amdkfd cuts a range while queues are stopped, and forgets to map the pieces before they run again
  reused_page,              // amdkfd moves a range to VRAM again, to a page that a fault of the CPU still holds
  released_bo,              // ... or waits for ever until the range's old memory in VRAM is released
  lost_userfault_wake,      // unregistering leaves a fault asleep that has begun under the VMA's own lock
  unresolved_fault,         // no bug: an access of the GPU that its driver cannot resolve
  count_
};

// Why an execution was given up: a table of the World was too small, or an invariant does not hold.
enum class Broken : int {
  tables_full,         // max_frames, max_objects or max_stale: the answer is incomplete
  use_after_free,      // an access reached a freed frame
  stale_device_entry,  // outside an invalidation a device entry differs from the CPU's
  deadlock,            // a thread waits for ever
  count_
};

}  // namespace faultline::ref
