// Preloaded in front of umockdev, into the processes that use mocked devices: what the kernel does there and umockdev
// leaves alone. fstat() of a node, what its driver's open() refuses, and a descriptor of one that is duplicated (it is
// opened again, and the mock told that it is the same client); mmap() of a buffer object; the descriptor of KFD's
// events; what an MMU notifier tells a driver; and pages that leave for VRAM, of which pagemap has device-private entries.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <set>
#include <shared_mutex>
#include <string>

namespace {

// To the mock, past its count of requests.
struct Opener {
  int process, refused;  // refused: the errno of the driver's open(), which the mock gives
  int faults;            // a userfaultfd of the process, which the mock takes for itself; -1: there is none
};
enum class Kind : std::uint64_t { protects, unmaps, zaps, moves, forks };
struct Change {
  std::uint64_t start, bytes;
  Kind kind;
  std::uint64_t protection;  // the one it gets
};
constexpr unsigned long this_is_process = _IOWR('F', 0, Opener);
constexpr unsigned long mapping_changes = _IOW('F', 1, Change);
constexpr unsigned long this_is_the_same = _IOW('F', 2, std::uint64_t);  // once to each of two clients, with one number
constexpr unsigned long mapping_changed = _IOW('F', 3, Change);
constexpr unsigned long next_in_vram = _IOR('F', 4, std::uint64_t);  // the address of a page to drop, or 0
constexpr unsigned long becomes_compute = _IOWR('F', 9, Opener);     // to the client whose node KFD's ACQUIRE_VM names
// What the kernel's header gives AMDKFD_IOC_SMI_EVENTS; the second word of its argument is the descriptor.
constexpr unsigned long smi_events = _IOWR('K', 0x1f, std::uint64_t);
constexpr unsigned long acquire_vm = _IOW('K', 0x15, std::uint64_t);  // its first word is the node's descriptor
constexpr unsigned svm = 0x20;                                        // AMDKFD_IOC_SVM, of any size

std::string root() {
  const char* path = std::getenv("UMOCKDEV_DIR");
  return path ? path : "";
}

// Past umockdev's own, which knows the testbed.
std::string link_target(const std::string& path) {
  char target[4096];
  const long length = syscall(SYS_readlink, path.c_str(), target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<std::size_t>(length));
}

// "/dev/dri/renderD128", for a descriptor of a mocked node of DRM, which is a terminal; else empty.
std::string node(int fd) {
  std::string terminal = link_target("/proc/self/fd/" + std::to_string(fd));
  if (root().empty() || !terminal.starts_with("/dev/pts/")) return "";
  std::ranges::replace(terminal, '/', '_');
  const std::string number = link_target(root() + "/dev/.ptymap/" + terminal);
  const std::string device = link_target(root() + "/sys/dev/char/" + number);
  return number.starts_with("226:") && !device.empty() ? "/dev/dri" + device.substr(device.rfind('/')) : "";
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int request(int fd, unsigned long number, void* argument) {
  return next<int (*)(int, unsigned long, void*)>("ioctl")(fd, number, argument);
}

// KFD's, of the process that opened it: whose mapping changes it hears of.
std::atomic<int> kfd = -1;
std::atomic<int> whose = -1;
std::atomic<int> events = -1;
std::atomic<bool> faults_on_ranges = false;  // its jobs may, and migrate

int opened(const char* path, int fd) {
  if (fd < 0 || (std::strcmp(path, "/dev/kfd") != 0 && std::strncmp(path, "/dev/dri/", 9) != 0)) return fd;
  Opener opener{getpid(), 0, -1};
  if (path[5] == 'k') opener.faults = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  const int result = request(fd, this_is_process, &opener);
  if (opener.faults >= 0) syscall(SYS_close, opener.faults);
  if (result == 0 && opener.refused != 0) {
    close(fd);
    errno = opener.refused;
    return -1;
  }
  if (path[5] == 'k') {
    kfd = fd;
    whose = opener.process;
  }
  return fd;
}

// What fcntl(F_DUPFD_CLOEXEC) gives: another descriptor of the same client.
int open_again(int fd, const std::string& path) {
  static std::atomic<unsigned> count = 0;
  std::uint64_t pair = static_cast<std::uint64_t>(getpid()) << 32 | ++count;
  const int again = next<int (*)(const char*, int, ...)>("open")(path.c_str(), O_RDWR | O_CLOEXEC);
  if (again < 0) return again;
  request(fd, this_is_the_same, &pair);
  request(again, this_is_the_same, &pair);
  return again;
}

constexpr std::uint64_t page_bytes = 4096;

// What this process, or one that it was forked from, has dropped because it went to VRAM, and has not unmapped since: as
// long as nothing is there, it is in VRAM.
class Dropped {
 public:
  void add(std::uint64_t page) {
    const std::lock_guard lock(mutex_);
    pages_.insert(page);
  }
  void remove(std::uint64_t start, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    pages_.erase(pages_.lower_bound(start), pages_.lower_bound(start + bytes));
  }
  bool has(std::uint64_t page) {
    const std::lock_guard lock(mutex_);
    return pages_.contains(page);
  }

 private:
  std::mutex mutex_;  // nobody's during fork(), which has the whole mmap lock
  std::set<std::uint64_t> pages_;
};
Dropped& dropped() {
  static Dropped& the = *new Dropped;  // there until the end
  return the;
}

// The mmap lock, between requests that look pages up and what changes mappings. The kernel migrates with a part of it, but
// does so in one go: here whoever else needs it would see half of that.
std::shared_mutex mmap_lock;
using ReadsMmap = std::shared_lock<std::shared_mutex>;
using WritesMmap = std::unique_lock<std::shared_mutex>;

bool is_heard() { return kfd >= 0 && whose == getpid(); }

void tell(unsigned long number, void* what) {
  const int before = errno;
  request(kfd, number, what);
  errno = before;
}

// A change of mappings, between its mmu_notifier_invalidate_range_start() and ..._end().
class Invalidation {
 public:
  Invalidation(const void* start, std::size_t bytes, Kind kind, int protection = 0)
      : heard_(bytes != 0 && is_heard()),
        change_{reinterpret_cast<std::uintptr_t>(start), bytes, kind, static_cast<std::uint64_t>(protection)} {
    if (heard_) tell(mapping_changes, &change_);
  }
  ~Invalidation() {
    if (change_.kind != Kind::protects && change_.kind != Kind::forks) dropped().remove(change_.start, change_.bytes);
    if (heard_ && is_heard()) tell(mapping_changed, &change_);  // not in a child of fork()
  }
  Invalidation(const Invalidation&) = delete;
  Invalidation& operator=(const Invalidation&) = delete;

 private:
  const bool heard_;
  Change change_;
};

// The mock has the content of pages that go to VRAM, and nobody writes to them: here they go.
int migrate(int fd, unsigned long number, void* argument) {
  if (!is_heard()) return request(fd, number, argument);
  const WritesMmap lock(mmap_lock);
  const int result = request(fd, number, argument);
  const int error = errno;
  for (std::uint64_t page = 0; request(kfd, next_in_vram, &page) == 0 && page != 0;)
    if (syscall(SYS_madvise, page, page_bytes, MADV_DONTNEED) == 0) dropped().add(page);
  errno = error;
  return result;
}

// Numbers of amdgpu_drm.h, from DRM_COMMAND_BASE on.
constexpr unsigned first_of_driver = 0x40, jobs = first_of_driver + 0x04, userptr = first_of_driver + 0x11;

bool looks_pages_up(unsigned long number) {
  return _IOC_TYPE(number) == 'd' && (_IOC_NR(number) == jobs || _IOC_NR(number) == userptr);
}

bool migrates(unsigned long number) {
  return (_IOC_TYPE(number) == 'K' && _IOC_NR(number) == svm) ||
         (_IOC_TYPE(number) == 'd' && _IOC_NR(number) == jobs && faults_on_ranges);
}

// amdgpu_vm_make_compute(), which may refuse.
int make_compute(int fd) {
  Opener opener{getpid(), 0, -1};
  if (node(fd).empty() || request(fd, becomes_compute, &opener) != 0) return 0;
  errno = opener.refused;
  faults_on_ranges = opener.refused == 0;
  return faults_on_ranges ? 0 : -1;
}

int connect_to_events() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s/smi", root().c_str());
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

void* map(void* address, std::size_t bytes, int protection, int flags, int fd, off64_t offset) {
  const std::string path = fd >= 0 ? node(fd) : "";
  const std::string memory = path.empty() ? "" : root() + "/gem" + path.substr(path.rfind('/'));
  WritesMmap lock(mmap_lock, std::defer_lock);
  if ((flags & MAP_FIXED) != 0) lock.lock();
  const Invalidation invalidation(address, lock ? bytes : 0, Kind::unmaps);
  const int file = path.empty() ? fd : static_cast<int>(syscall(SYS_openat, AT_FDCWD, memory.c_str(), O_RDWR | O_CLOEXEC));
  void* const where = reinterpret_cast<void*>(syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
  if (file != fd) syscall(SYS_close, file);
  return where;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, int) : 0;
  va_end(list);
  return opened(path, next<int (*)(const char*, int, int)>("open")(path, flags, mode));
}

int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, int) : 0;
  va_end(list);
  return opened(path, next<int (*)(const char*, int, int)>("open64")(path, flags, mode));
}

int fstat(int fd, struct stat* status) noexcept {
  const std::string path = node(fd);
  return path.empty() ? next<int (*)(int, struct stat*)>("fstat")(fd, status) : stat(path.c_str(), status);
}

int fstat64(int fd, struct stat64* status) noexcept {
  const std::string path = node(fd);
  return path.empty() ? next<int (*)(int, struct stat64*)>("fstat64")(fd, status) : stat64(path.c_str(), status);
}

int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  const std::string path = command == F_DUPFD_CLOEXEC ? node(fd) : "";
  return path.empty() ? next<int (*)(int, int, void*)>("fcntl64")(fd, command, argument) : open_again(fd, path);
}

// As by a bug of libdrm, where a test wants that: in the function that makes the request.
void crash_in(unsigned long number) {
  static const char* const wanted = std::getenv("FAULTLINE_CRASH_IN_REQUEST");
  if (wanted && _IOC_TYPE(number) == 'd' && _IOC_NR(number) == std::strtoul(wanted, nullptr, 0)) raise(SIGSEGV);
}

// The mock answers with no descriptor where it waits for a client at its socket.
int ioctl(int fd, unsigned long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  void* argument = va_arg(list, void*);
  va_end(list);
  crash_in(number);
  if (migrates(number)) return migrate(fd, number, argument);
  ReadsMmap lock(mmap_lock, std::defer_lock);
  if (looks_pages_up(number)) lock.lock();
  const int result = request(fd, number, argument);
  if (number == acquire_vm && result == 0) return make_compute(static_cast<int>(static_cast<__u32*>(argument)[0]));
  if (number != smi_events || result != 0) return result;
  __u32& descriptor = static_cast<__u32*>(argument)[1];
  if (descriptor != ~0u) return 0;
  events = connect_to_events();
  descriptor = static_cast<__u32>(events.load());
  return 0;
}

// An entry of one's own pagemap, where nothing is, of a page in VRAM: what a device-private one has
// (Documentation/admin-guide/mm/pagemap.rst), with a frame of the memory that machines.py lists in /proc/iomem.
ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t offset) {
  constexpr std::uint64_t vram_frame = 0x10'0000'0000, there = std::uint64_t{3} << 62, swapped = std::uint64_t{1} << 62;
  const ssize_t got = syscall(SYS_pread64, fd, buffer, bytes, offset);
  std::uint64_t entry = 0;
  if (got != sizeof entry ||
      link_target("/proc/self/fd/" + std::to_string(fd)) != "/proc/" + std::to_string(getpid()) + "/pagemap")
    return got;
  std::memcpy(&entry, buffer, sizeof entry);
  const std::uint64_t page = offset / sizeof entry;
  if ((entry & there) != 0 || !dropped().has(page * page_bytes)) return got;
  entry |= swapped | (vram_frame + page % 0x100'0000) << 5;
  std::memcpy(buffer, &entry, sizeof entry);
  return got;
}

// Of events a few bytes at a time, where a test wants that.
ssize_t read(int fd, void* buffer, std::size_t bytes) {
  const bool short_one = fd >= 0 && fd == events && std::getenv("FAULTLINE_SHORT_READS");
  return next<ssize_t (*)(int, void*, std::size_t)>("read")(fd, buffer, short_one ? std::min<std::size_t>(bytes, 5) : bytes);
}

void* mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  return map(address, bytes, protection, flags, fd, offset);
}

void* mmap64(void* address, std::size_t bytes, int protection, int flags, int fd, off64_t offset) noexcept {
  return map(address, bytes, protection, flags, fd, offset);
}

int munmap(void* address, std::size_t bytes) noexcept {
  const WritesMmap lock(mmap_lock);
  const Invalidation invalidation(address, bytes, Kind::unmaps);
  return static_cast<int>(syscall(SYS_munmap, address, bytes));
}

int mprotect(void* address, std::size_t bytes, int protection) noexcept {
  const WritesMmap lock(mmap_lock);
  const Invalidation invalidation(address, bytes, Kind::protects, protection);
  return static_cast<int>(syscall(SYS_mprotect, address, bytes, protection));
}

void* mremap(void* from, std::size_t bytes, std::size_t new_bytes, int flags, ...) noexcept {
  va_list list;
  va_start(list, flags);
  void* const to = flags & MREMAP_FIXED ? va_arg(list, void*) : nullptr;
  va_end(list);
  const WritesMmap lock(mmap_lock);
  const Invalidation of_target(to, flags & MREMAP_FIXED ? new_bytes : 0, Kind::unmaps), of_source(from, bytes, Kind::moves);
  return reinterpret_cast<void*>(syscall(SYS_mremap, from, bytes, new_bytes, flags, to));
}

// MADV_DONTNEED and MADV_REMOVE take pages away at once; what the others do shows later, if ever.
int madvise(void* address, std::size_t bytes, int advice) noexcept {
  const bool takes = advice == MADV_DONTNEED || advice == MADV_REMOVE;
  const ReadsMmap lock(mmap_lock);
  const Invalidation invalidation(address, takes ? bytes : 0, Kind::zaps);
  return static_cast<int>(syscall(SYS_madvise, address, bytes, advice));
}

pid_t fork() noexcept {
  WritesMmap lock(mmap_lock);
  const Invalidation invalidation(nullptr, std::size_t{1} << 47, Kind::forks);
  const pid_t pid = next<pid_t (*)()>("fork")();
  if (pid == 0) {  // the lock's owner is another thread's
    lock.release();
    new (&mmap_lock) std::shared_mutex;
  }
  return pid;
}
}
