// A scenario as a value. The parser makes it, the reference explores it, and the executor runs it.
//
// All references are indices into the vectors of Program, so that a Program can be copied and compared as it is.
// The operations are a closed set (std::variant). If you add one, the compiler lists every place that must know it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace faultline {

// Bounds of a Program. Scenarios are untrusted text. The parser refuses a scenario that exceeds a bound, and the
// reference and the executor size their tables by the bounds.
namespace limits {
inline constexpr int text_bytes = 64 * 1024;
inline constexpr int regions = 8;
inline constexpr int pages_per_region = 1 << 28;  // 1 TiB
inline constexpr int populated_pages = 1 << 16;   // of a region with a value, and of a file: 256 MiB
inline constexpr int pages_per_request = 16;      // pages in one request to a device
inline constexpr int spans = 32;                  // spans (spans.h) of all regions together
inline constexpr int spans_per_region = 16;
inline constexpr int processes = 6;
inline constexpr int threads = 8;  // of all processes together, main threads included
inline constexpr int devices = 2;
inline constexpr int files = 2;        // of all processes together
inline constexpr int operations = 64;  // of all threads together
inline constexpr int barriers = 8;
inline constexpr int claims = 32;
inline constexpr int observes = 32;
inline constexpr int claim_depth = 16;  // nesting of one claim's condition
inline constexpr int name_bytes = 32;
inline constexpr int value = 200;       // the largest value that a store writes
inline constexpr int allocations = 32;  // the number of the one that fails
inline constexpr int added = 50;        // the sum of all `add`s in a Program
inline constexpr int delay_us = 1'000'000;
}  // namespace limits

// A place in the scenario text, 1-based. Line 0 if the Program did not come from text. Every place compares equal
// to every other, so that two Programs are equal when they mean the same.
struct Place {
  int line = 0;
  int column = 0;
  friend bool operator==(const Place&, const Place&) { return true; }
};

// What backs a mapping. A stack is anonymous and private, and grows down (VM_GROWSDOWN). The kinds from svm_coarse on
// are not mappings but buffers that the device's driver allocates.
enum class Backing : std::uint8_t {
  none,
  anon_private,
  anon_shared,
  stack,
  file_private,
  file_shared,
  svm_coarse,  // clSVMAlloc
  svm_fine,
  usm_host,  // clHostMemAllocINTEL and its siblings
  usm_shared,
  usm_device,
  device_address,  // a cl_mem over host memory; kernels get its address (cl_ext_buffer_device_address)
};

inline bool is_usm(Backing backing) {
  return backing == Backing::usm_host || backing == Backing::usm_shared || backing == Backing::usm_device;
}

// Whether the host may access the buffer only between a map and an unmap.
inline bool is_handed_over(Backing backing) { return backing == Backing::svm_coarse || backing == Backing::device_address; }

inline bool is_buffer(Backing backing) { return is_handed_over(backing) || backing == Backing::svm_fine || is_usm(backing); }

// The memory order of an access, as in C++ and OpenCL. A plain access by the CPU has a full fence on both sides; in an
// SVM buffer, however, it is a non-atomic access.
enum class Order { plain, relaxed, acquire, release, acq_rel, seq_cst };

// A file of one fork tree. The root process creates it before the threads start, opens it, and brings it into the page
// cache. Page p of a region maps page p of the file.
struct File {
  enum class Kind {
    disk,    // on a real file system if the machine has one, otherwise like memory
    memory,  // memfd_create
  };
  std::string name;
  int owner = 0;  // index of the root process that declares it
  Kind kind = Kind::disk;
  int pages = 0;  // all zero
  Place place;
  friend bool operator==(const File&, const File&) = default;
};

struct Protection {
  bool read = false;
  bool write = false;
  friend bool operator==(const Protection&, const Protection&) = default;
};

// Pages in a huge page that a PMD entry maps (HPAGE_PMD_NR), 2 MiB.
inline constexpr int huge_pages = 512;

// Pages [first, first + count) of one region, in pages of 4 KiB.
struct PageRange {
  int region = 0;
  int first = 0;
  int count = 0;
  friend bool operator==(const PageRange&, const PageRange&) = default;
};

// One cell: the first 8 bytes of one page.
struct Cell {
  int region = 0;
  int page = 0;
  friend bool operator==(const Cell&, const Cell&) = default;
};

// A range of virtual addresses, at the same place in every process of one fork tree. With `backing` none, nothing is
// mapped there when the threads start. With `initial`, every page is populated with that value before the threads
// start; without it, no page is present.
struct Region {
  std::string name;
  int owner = 0;  // index of the root process that declares it
  int pages = 0;
  Backing backing = Backing::none;
  int file = -1;  // for file_private and file_shared
  Protection protection;
  std::optional<int> initial;
  Place place;
  friend bool operator==(const Region&, const Region&) = default;
};

// How the device reacts to an invalidation. The claims of a scenario are about the class that the scenario names. A
// target of another class gets the allowed set of its own class.
enum class DeviceClass {
  recoverable,
  shares_cpu_tables,
  pinned,
  fatal_faults,         // shares the CPU's tables; a fault that the kernel cannot resolve ends the process
  unmap_and_retry,      // amdgpu with XNACK: the driver drops GPU PTEs and reports that; the device retries its faults
  preempt_and_restore,  // amdgpu without XNACK: the driver stops the queues, and a worker maps what has changed
  fault_and_migrate,    // amdgpu with XNACK, with accesses through KFD's SVM ranges: a fault moves a range to VRAM
  map_and_restore,      // amdgpu without XNACK, the same: pages are mapped first, and the driver stops the queues of the process
  count_
};

struct Device {
  std::string name;
  DeviceClass device_class = DeviceClass::recoverable;
  Place place;
  friend bool operator==(const Device&, const Device&) = default;
};

// A process is either a root, which exists when the threads start, or the child of a `fork` operation.
struct Process {
  std::string name;
  int parent = -1;  // index of the process whose thread forks it; -1 for a root
  Place place;
  friend bool operator==(const Process&, const Process&) = default;
};

// What does an access: the CPU, or a device through the descriptor that process `opener` opened. The addresses are
// those of the opener. A child inherits its parent's descriptors by fork and may use them.
struct Via {
  int device = -1;  // -1: the CPU
  int opener = -1;  // the device mirrors the mm of this process
  bool cpu() const { return device < 0; }
  friend bool operator==(const Via&, const Via&) = default;
};

namespace op {
// Each is named after its system call or device request. For results see outcome.h.
// clang-format off
struct Load { Cell cell; Via via; Order order = Order::plain; friend bool operator==(const Load&, const Load&) = default; };
struct Store { Cell cell; int value = 0; Via via; Order order = Order::plain; friend bool operator==(const Store&, const Store&) = default; };
// An atomic read-modify-write. Its result is the value that it read. compare_exchange writes only if it read the value
// `expected`, stored through this very cell.
struct Update {
  enum class Kind { exchange, add, compare_exchange };
  Cell cell;
  Kind kind = Kind::exchange;
  int value = 0;     // to write or to add
  int expected = 0;  // for compare_exchange
  Via via;
  Order order = Order::relaxed;
  friend bool operator==(const Update&, const Update&) = default;
};
// mmap(MAP_FIXED): replaces existing mappings. `backing` is never none.
struct Mmap { PageRange range; Backing backing = Backing::anon_private; Protection protection; int file = -1; friend bool operator==(const Mmap&, const Mmap&) = default; };
struct Munmap { PageRange range; friend bool operator==(const Munmap&, const Munmap&) = default; };
struct Mprotect { PageRange range; Protection protection; friend bool operator==(const Mprotect&, const Mprotect&) = default; };
// mremap(MREMAP_MAYMOVE | MREMAP_FIXED), same length: moves `range` so that it starts at `to`. With MREMAP_DONTUNMAP the old place
// stays mapped, without its pages.
struct Mremap { PageRange range; Cell to; bool dontunmap = false; friend bool operator==(const Mremap&, const Mremap&) = default; };
enum class Advice {
  dontneed, dontfork, hugepage, populate_read, populate_write, wipeonfork, keeponfork, free, pageout, remove,
  collapse
};
inline constexpr int advice_count = static_cast<int>(Advice::collapse) + 1;
struct Madvise { PageRange range; Advice advice = Advice::dontneed; friend bool operator==(const Madvise&, const Madvise&) = default; };
struct Msync { PageRange range; friend bool operator==(const Msync&, const Msync&) = default; };  // MS_SYNC
struct Truncate { int file = 0; int pages = 0; friend bool operator==(const Truncate&, const Truncate&) = default; };  // ftruncate
struct Fork { int process = 0; friend bool operator==(const Fork&, const Fork&) = default; };
struct Exit { friend bool operator==(const Exit&, const Exit&) = default; };  // _exit(0) of the whole process
struct Kill { int process = 0; friend bool operator==(const Kill&, const Kill&) = default; };  // SIGKILL
struct Wait { int process = 0; friend bool operator==(const Wait&, const Wait&) = default; };  // waitpid of a child
// All threads that name the barrier wait for each other. A dead thread counts as arrived.
struct Barrier { int barrier = 0; friend bool operator==(const Barrier&, const Barrier&) = default; };
struct Delay { int us = 0; friend bool operator==(const Delay&, const Delay&) = default; };
struct Open { int device = 0; friend bool operator==(const Open&, const Open&) = default; };
struct Close { int device = 0; friend bool operator==(const Close&, const Close&) = default; };
// clang-format on
struct Migrate {
  PageRange range;
  bool to_device = true;
  Via via;
  int fail = 0;  // which of the request's allocations of a page fails (/proc/TASK/fail-nth), from 1 on; 0: none
  friend bool operator==(const Migrate&, const Migrate&) = default;
};
struct Snapshot {
  PageRange range;
  Via via;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};
// Pin takes a long-term pin on each page for writing, or a reference for reading only. Unpin releases it. A device of class
// pinned accesses memory through these.
struct Pin {
  PageRange range;
  bool read = false;
  Via via;
  friend bool operator==(const Pin&, const Pin&) = default;
};
struct Unpin {
  PageRange range;
  Via via;
  friend bool operator==(const Unpin&, const Unpin&) = default;
};
// read(2) into the page, and write(2) from the page, on a file that is open with O_DIRECT.
struct DirectRead {
  Cell cell;
  int value = 0;
  friend bool operator==(const DirectRead&, const DirectRead&) = default;
};
struct DirectWrite {
  Cell cell;
  friend bool operator==(const DirectWrite&, const DirectWrite&) = default;
};
// Makes the pages exclusive to the device. With `check`: asks whether any of them is exclusive.
struct Exclusive {
  PageRange range;
  bool check = false;
  Via via;
  friend bool operator==(const Exclusive&, const Exclusive&) = default;
};
// The ioctls of userfaultfd. A process has one userfaultfd, which the executor opens before its threads start, without any
// feature. Its own threads resolve faults: no handler runs beside the scenario.
struct UffdRegister {
  enum class Mode { missing, wp, both };  // which faults wait (UFFDIO_REGISTER_MODE_...)
  PageRange range;
  Mode mode = Mode::missing;
  friend bool operator==(const UffdRegister&, const UffdRegister&) = default;
};
struct UffdUnregister {
  PageRange range;
  friend bool operator==(const UffdUnregister&, const UffdUnregister&) = default;
};
struct UffdCopy {
  Cell cell;
  int value = 0;
  friend bool operator==(const UffdCopy&, const UffdCopy&) = default;
};
struct UffdZero {  // UFFDIO_ZEROPAGE
  PageRange range;
  friend bool operator==(const UffdZero&, const UffdZero&) = default;
};
struct UffdProtect {  // UFFDIO_WRITEPROTECT: set, or clear and wake
  PageRange range;
  bool set = true;
  friend bool operator==(const UffdProtect&, const UffdProtect&) = default;
};
struct UffdWake {
  PageRange range;
  friend bool operator==(const UffdWake&, const UffdWake&) = default;
};
// clEnqueueSVMMap (for reading, writing or both), clEnqueueSVMUnmap, clEnqueueSVMMemcpy of one cell and
// clEnqueueSVMMemFill of one cell, or the equivalent calls for other kinds of buffers. Each waits until it is done.
struct SvmMap {
  PageRange range;
  Protection access;
  Via via;
  friend bool operator==(const SvmMap&, const SvmMap&) = default;
};
struct SvmUnmap {
  PageRange range;
  Via via;
  friend bool operator==(const SvmUnmap&, const SvmUnmap&) = default;
};
struct SvmCopy {
  Cell from;
  Cell to;
  Via via;
  friend bool operator==(const SvmCopy&, const SvmCopy&) = default;
};
struct SvmFill {
  Cell cell;
  int value = 0;
  Via via;
  friend bool operator==(const SvmFill&, const SvmFill&) = default;
};
}  // namespace op

using Operation = std::variant<op::Load, op::Store, op::Update, op::Mmap, op::Munmap, op::Mprotect, op::Mremap, op::Madvise,
                               op::Msync, op::Truncate, op::Fork, op::Exit, op::Kill, op::Wait, op::Barrier, op::Delay, op::Open,
                               op::Close, op::Migrate, op::Snapshot, op::Pin, op::Unpin, op::Exclusive, op::DirectRead,
                               op::DirectWrite, op::UffdRegister, op::UffdUnregister, op::UffdCopy, op::UffdZero, op::UffdProtect,
                               op::UffdWake, op::SvmMap, op::SvmUnmap, op::SvmCopy, op::SvmFill>;

struct Statement {
  std::string name;  // the register that the text gives it ("r0"), or empty
  Operation operation;
  Place place;
  friend bool operator==(const Statement&, const Statement&) = default;
};

// Threads of a root process start together. Threads of a forked process start after the fork; its main thread is the one
// that returns from fork() in the child.
struct Thread {
  std::string name;  // "P.cpu", or the process's name for its main thread
  int process = 0;
  Via via;  // for loads and stores without a `via` of their own ("on d")
  std::vector<Statement> statements;
  Place place;
  friend bool operator==(const Thread&, const Thread&) = default;
};

// A question about the end state, answered when every thread is done and no process is starting or ending.
struct Observe {
  enum class Kind {
    value,   // the result of a CPU load of the cell in that process
    same,    // whether two mappings show the same page frame
    where,   // whether the page is in system or device memory; asked before the values are read
    events,  // which events the driver reported for the page; asked before any `where`
  };
  Kind kind = Kind::value;
  int process = 0;
  Cell cell;
  int process2 = 0;  // for `same`
  Cell cell2;
  Place place;
  friend bool operator==(const Observe&, const Observe&) = default;
};

// A condition on an outcome. `key` names an observable of schema() (outcome.h). `value` is the text to compare with
// ("1", "zero", "EPERM", "SIGSEGV", "ok", ...).
struct Condition {
  enum class Kind { equal, not_equal, all, any, negation };
  Kind kind = Kind::equal;
  std::string key;
  std::string value;
  std::vector<Condition> parts;
  Place place;
  friend bool operator==(const Condition&, const Condition&) = default;
};

struct Claim {
  enum class Kind { never, sometimes, always };
  Kind kind = Kind::never;
  Condition condition;
  Place place;
  friend bool operator==(const Claim&, const Claim&) = default;
};

// A thread that waits, and the index of the statement that it waits in.
struct Waiting {
  int thread = 0;
  int statement = 0;
  friend auto operator<=>(const Waiting&, const Waiting&) = default;
};

struct Program {
  std::string name;
  std::string doc;
  std::vector<Device> devices;
  std::vector<File> files;
  std::vector<Region> regions;
  std::vector<Process> processes;
  std::vector<Thread> threads;
  std::vector<std::string> barriers;  // names
  std::vector<Observe> observes;
  std::vector<Claim> claims;
  friend bool operator==(const Program&, const Program&) = default;
};

}  // namespace faultline
