// Preloaded in front of umockdev into the processes that use mocked devices. Plays those parts of the kernel that
// umockdev does not:
// - fstat() of a node, and errors of its driver's open()
// - a duplicate of a node's descriptor: it opens the node again and tells the mock that both are the same client
// - mmap() of a buffer object
// - the descriptor of KFD's events
// - the MMU notifier's calls to the driver
// - pages that go to VRAM: it drops them here and shows device-private entries in pagemap
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

// Requests to the mock. The mock does not count them as requests of the client.
struct Opener {
  int process, refused;  // refused: out: the errno of the driver's open()
  int faults;            // a userfaultfd of the process; the mock takes a duplicate; -1: none
};
enum class Kind : std::uint64_t { protects, unmaps, zaps, moves, forks };
struct Change {
  std::uint64_t start, bytes;
  Kind kind;
  std::uint64_t protection;  // the new one
};
constexpr unsigned long this_is_process = _IOWR('F', 0, Opener);
constexpr unsigned long mapping_changes = _IOW('F', 1, Change);
constexpr unsigned long this_is_the_same = _IOW('F', 2, std::uint64_t);  // to both clients, with the same number
constexpr unsigned long mapping_changed = _IOW('F', 3, Change);
constexpr unsigned long next_in_vram = _IOR('F', 4, std::uint64_t);  // the address of a page to drop, or 0
constexpr unsigned long becomes_compute = _IOWR('F', 9, Opener);     // to the client that KFD's ACQUIRE_VM names
// AMDKFD_IOC_SMI_EVENTS; the second word of its argument is the descriptor.
constexpr unsigned long smi_events = _IOWR('K', 0x1f, std::uint64_t);
constexpr unsigned long acquire_vm = _IOW('K', 0x15, std::uint64_t);  // its first word is the node's descriptor
constexpr unsigned svm = 0x20;                                        // AMDKFD_IOC_SVM, of any size

std::string root() {
  const char* path = std::getenv("UMOCKDEV_DIR");
  return path ? path : "";
}

// A raw system call: umockdev's readlink() would redirect it into the testbed.
std::string link_target(const std::string& path) {
  char target[4096];
  const long length = syscall(SYS_readlink, path.c_str(), target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<std::size_t>(length));
}

// "/dev/dri/renderD128" for a descriptor of a mocked DRM node, which is a terminal in umockdev; else empty.
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

// The descriptor of /dev/kfd and the process that opened it. KFD hears of this process's mapping changes.
std::atomic<int> kfd = -1;
std::atomic<int> whose = -1;
std::atomic<int> events = -1;
std::atomic<bool> faults_on_ranges = false;  // jobs may fault on SVM ranges, and so migrate pages

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

// For fcntl(F_DUPFD_CLOEXEC): another descriptor of the same client.
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

// Pages that went to VRAM: this process or a forebear dropped them here and has not unmapped them since. As long as no
// page is present at such an address, the page is in VRAM.
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
  std::mutex mutex_;  // never held during fork(), which takes mmap_lock for writing
  std::set<std::uint64_t> pages_;
};
Dropped& dropped() {
  static Dropped& the = *new Dropped;  // never destroyed
  return the;
}

// Plays the mmap lock: requests that look pages up read-lock it, changes of mappings write-lock it. Migrations write-lock
// it too, although the kernel only read-locks it for them: here a migration has several steps, which nobody may see.
std::shared_mutex mmap_lock;
using ReadsMmap = std::shared_lock<std::shared_mutex>;
using WritesMmap = std::unique_lock<std::shared_mutex>;

bool is_heard() { return kfd >= 0 && whose == getpid(); }

void tell(unsigned long number, void* what) {
  const int before = errno;
  request(kfd, number, what);
  errno = before;
}

// A change of mappings. The constructor plays mmu_notifier_invalidate_range_start(), the destructor ..._end().
class Invalidation {
 public:
  Invalidation(const void* start, std::size_t bytes, Kind kind, int protection = 0)
      : heard_(bytes != 0 && is_heard()),
        change_{reinterpret_cast<std::uintptr_t>(start), bytes, kind, static_cast<std::uint64_t>(protection)} {
    if (heard_) tell(mapping_changes, &change_);
  }
  ~Invalidation() {
    if (change_.kind != Kind::protects && change_.kind != Kind::forks) dropped().remove(change_.start, change_.bytes);
    if (heard_ && is_heard()) tell(mapping_changed, &change_);  // not in the child after fork()
  }
  Invalidation(const Invalidation&) = delete;
  Invalidation& operator=(const Invalidation&) = delete;

 private:
  const bool heard_;
  Change change_;
};

// A request that may migrate. When it returns, the mock has the content of the pages that go to VRAM and has
// write-protected them. Here they are dropped.
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

// Numbers from amdgpu_drm.h, counted from DRM_COMMAND_BASE.
constexpr unsigned first_of_driver = 0x40, jobs = first_of_driver + 0x04, userptr = first_of_driver + 0x11;

bool looks_pages_up(unsigned long number) {
  return _IOC_TYPE(number) == 'd' && (_IOC_NR(number) == jobs || _IOC_NR(number) == userptr);
}

bool migrates(unsigned long number) {
  return (_IOC_TYPE(number) == 'K' && _IOC_NR(number) == svm) ||
         (_IOC_TYPE(number) == 'd' && _IOC_NR(number) == jobs && faults_on_ranges);
}

// amdgpu_vm_make_compute(); the mock may refuse it.
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

// Plays a bug of libdrm, if a test wants one: a crash in the function that makes the request.
void crash_in(unsigned long number) {
  static const char* const wanted = std::getenv("FAULTLINE_CRASH_IN_REQUEST");
  if (wanted && _IOC_TYPE(number) == 'd' && _IOC_NR(number) == std::strtoul(wanted, nullptr, 0)) raise(SIGSEGV);
}

// When the mock answers AMDKFD_IOC_SMI_EVENTS without a descriptor, it waits at its socket for the client to connect.
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

// Reads of the process's own pagemap: the entry of a page in VRAM, empty so far, becomes a device-private one
// (Documentation/admin-guide/mm/pagemap.rst). Its frame is in the memory that machines.py lists in /proc/iomem.
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

// Gives events in pieces of a few bytes, if a test wants that.
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

// Only MADV_DONTNEED and MADV_REMOVE zap pages at once. Other advice has an effect later, if ever.
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
  if (pid == 0) {  // the lock belongs to the parent's thread: make a new one
    lock.release();
    new (&mmap_lock) std::shared_mutex;
  }
  return pid;
}
}
