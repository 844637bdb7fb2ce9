// Preloaded in front of umockdev into the processes that use mocked devices. Plays those parts of the kernel that
// umockdev does not:
// - fstat() of a node, and errors of its driver's open()
// - a duplicate of a node's descriptor: it opens the node again and tells the mock that both are the same client
// - mmap() of a buffer object
// - the descriptor of KFD's events
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
#include <string>

namespace {

// Requests to the mock. The mock does not count them as requests of the client.
struct Opener {
  int process, refused;  // refused: out: the errno of the driver's open()
};
constexpr unsigned long this_is_process = _IOWR('F', 0, Opener);
constexpr unsigned long this_is_the_same = _IOW('F', 2, std::uint64_t);  // to both clients, with the same number
// AMDKFD_IOC_SMI_EVENTS; the second word of its argument is the descriptor.
constexpr unsigned long smi_events = _IOWR('K', 0x1f, std::uint64_t);

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

std::atomic<int> events = -1;  // the descriptor of KFD's events

int opened(const char* path, int fd) {
  if (fd < 0 || (std::strcmp(path, "/dev/kfd") != 0 && std::strncmp(path, "/dev/dri/", 9) != 0)) return fd;
  Opener opener{getpid(), 0};
  if (request(fd, this_is_process, &opener) != 0 || opener.refused == 0) return fd;
  close(fd);
  errno = opener.refused;
  return -1;
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
  const int result = request(fd, number, argument);
  if (number != smi_events || result != 0) return result;
  __u32& descriptor = static_cast<__u32*>(argument)[1];
  if (descriptor != ~0u) return 0;
  events = connect_to_events();
  descriptor = static_cast<__u32>(events.load());
  return 0;
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
}
