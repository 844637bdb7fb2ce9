// Preloaded in front of umockdev, for what it leaves alone and libdrm needs: fstat() of a mocked node, and a
// descriptor of one that is duplicated (it is opened again: a client more, where the kernel has one).
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdlib>
#include <string>

namespace {

// Past umockdev's own, which knows the testbed.
std::string link_target(const std::string& path) {
  char target[4096];
  const long length = syscall(SYS_readlink, path.c_str(), target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<std::size_t>(length));
}

// "/dev/dri/renderD128", for a descriptor of a mocked node of DRM, which is a terminal; else empty.
std::string node(int fd) {
  const char* root = std::getenv("UMOCKDEV_DIR");
  std::string terminal = link_target("/proc/self/fd/" + std::to_string(fd));
  if (!root || !terminal.starts_with("/dev/pts/")) return "";
  std::ranges::replace(terminal, '/', '_');
  const std::string number = link_target(std::string(root) + "/dev/.ptymap/" + terminal);
  const std::string device = link_target(std::string(root) + "/sys/dev/char/" + number);
  return number.starts_with("226:") && !device.empty() ? "/dev/dri" + device.substr(device.rfind('/')) : "";
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

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
  return path.empty() ? next<int (*)(int, int, void*)>("fcntl64")(fd, command, argument)
                      : open(path.c_str(), O_RDWR | O_CLOEXEC);
}
}
