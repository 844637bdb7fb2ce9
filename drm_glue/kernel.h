// System calls of drm_glue (open, ioctl, read, mmap...) behind an interface.
//
// In production they are real. Tests use a fake that plays a driver, or one that makes some calls fail. Every call
// returns what the system call would return, and sets errno.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace faultline {

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual int open(const char* path, int flags) = 0;
  virtual int close(int fd) = 0;
  virtual int ioctl(int fd, unsigned long request, void* argument) = 0;
  virtual ssize_t read(int fd, void* buffer, std::size_t bytes) = 0;
  virtual ssize_t write(int fd, const void* buffer, std::size_t bytes) = 0;
  virtual ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t offset) = 0;
  virtual off_t seek(int fd, off_t offset, int whence) = 0;
  virtual void* mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) = 0;
  virtual int munmap(void* address, std::size_t bytes) = 0;
};

// Has no state: any thread may use it, also after fork().
Kernel& real_kernel();

// Passes calls on to `inner`, but makes the next `times` calls of one kind fail with `error`.
class FaultyKernel : public Kernel {
 public:
  enum class Call { open, ioctl, read, write, pread };

  explicit FaultyKernel(Kernel& inner) : inner_(inner) {}
  void fail(Call call, int error, int times = 1);

  int open(const char* path, int flags) override;
  int close(int fd) override { return inner_.close(fd); }
  int ioctl(int fd, unsigned long request, void* argument) override;
  ssize_t read(int fd, void* buffer, std::size_t bytes) override;
  ssize_t write(int fd, const void* buffer, std::size_t bytes) override;
  ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t offset) override;
  off_t seek(int fd, off_t offset, int whence) override { return inner_.seek(fd, offset, whence); }
  void* mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) override {
    return inner_.mmap(address, bytes, protection, flags, fd, offset);
  }
  int munmap(void* address, std::size_t bytes) override { return inner_.munmap(address, bytes); }

 private:
  bool fails(Call call);

  Kernel& inner_;
  Call call_ = Call::open;
  int error_ = 0;
  int times_ = 0;
};

}  // namespace faultline
