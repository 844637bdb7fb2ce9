#include "drm_glue/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace faultline {
namespace {

class RealKernel : public Kernel {
 public:
  int open(const char* path, int flags) override { return ::open(path, flags | O_CLOEXEC); }
  int close(int fd) override { return ::close(fd); }
  int ioctl(int fd, unsigned long request, void* argument) override { return ::ioctl(fd, request, argument); }
  ssize_t read(int fd, void* buffer, std::size_t bytes) override { return ::read(fd, buffer, bytes); }
  ssize_t write(int fd, const void* buffer, std::size_t bytes) override { return ::write(fd, buffer, bytes); }
  ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t offset) override { return ::pread(fd, buffer, bytes, offset); }
  off_t seek(int fd, off_t offset, int whence) override { return ::lseek(fd, offset, whence); }
  void* mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) override {
    return ::mmap(address, bytes, protection, flags, fd, offset);
  }
  int munmap(void* address, std::size_t bytes) override { return ::munmap(address, bytes); }
};

}  // namespace

Kernel& real_kernel() {
  static RealKernel kernel;
  return kernel;
}

void FaultyKernel::fail(Call call, int error, int times) {
  call_ = call;
  error_ = error;
  times_ = times;
}

bool FaultyKernel::fails(Call call) {
  if (call != call_ || times_ == 0) return false;
  --times_;
  errno = error_;
  return true;
}

int FaultyKernel::open(const char* path, int flags) { return fails(Call::open) ? -1 : inner_.open(path, flags); }

int FaultyKernel::ioctl(int fd, unsigned long request, void* argument) {
  return fails(Call::ioctl) ? -1 : inner_.ioctl(fd, request, argument);
}

ssize_t FaultyKernel::read(int fd, void* buffer, std::size_t bytes) {
  return fails(Call::read) ? -1 : inner_.read(fd, buffer, bytes);
}

ssize_t FaultyKernel::write(int fd, const void* buffer, std::size_t bytes) {
  return fails(Call::write) ? -1 : inner_.write(fd, buffer, bytes);
}

ssize_t FaultyKernel::pread(int fd, void* buffer, std::size_t bytes, off_t offset) {
  return fails(Call::pread) ? -1 : inner_.pread(fd, buffer, bytes, offset);
}

}  // namespace faultline
