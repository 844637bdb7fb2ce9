#include "drm_glue/pinned.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <list>
#include <mutex>

#include "drm_glue/pagemap.h"

namespace faultline {
namespace {

constexpr std::size_t page_size = 4096;

// One io_uring with at most one fixed buffer of one page. Each pinned page has its own ring, because
// IORING_UNREGISTER_BUFFERS has released the page when it returns, on every kernel. An update of a larger buffer table
// has not always (6.1).
class Ring {
 public:
  // Sets errno if valid() is false.
  Ring() {
    const int error = -io_uring_queue_init(1, &ring_, 0);
    valid_ = error == 0;
    if (!valid_) errno = error;
  }
  ~Ring() {
    if (valid_) io_uring_queue_exit(&ring_);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  bool valid() const { return valid_; }
  std::uintptr_t page() const { return page_; }  // 0: free

  int pin(std::uintptr_t page) {  // errno
    const iovec buffer{reinterpret_cast<void*>(page), page_size};
    const int error = -io_uring_register_buffers(&ring_, &buffer, 1);
    if (error == 0) page_ = page;
    return error;
  }

  int unpin() {  // errno
    const int error = -io_uring_unregister_buffers(&ring_);
    if (error == 0) page_ = 0;
    return error;
  }

  // The kernel copies `bytes` between the buffer and the pipe's end `fd`. Returns how many, or a negative errno.
  int copy(bool to_memory, int fd, std::uintptr_t address, unsigned bytes) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return -EIO;
    void* const where = reinterpret_cast<void*>(address);
    if (to_memory) io_uring_prep_read_fixed(entry, fd, where, bytes, 0, 0);
    else io_uring_prep_write_fixed(entry, fd, where, bytes, 0, 0);
    for (;;) {
      const int submitted = io_uring_submit_and_wait(&ring_, 1);
      if (submitted >= 0) break;
      if (submitted != -EINTR) return submitted;
    }
    io_uring_cqe* done = nullptr;
    for (;;) {
      const int error = io_uring_wait_cqe(&ring_, &done);
      if (error == 0) break;
      if (error != -EINTR) return error;
    }
    const int result = done->res;
    io_uring_cqe_seen(&ring_, done);
    return result;
  }

 private:
  io_uring ring_{};
  bool valid_ = false;
  std::uintptr_t page_ = 0;
};

// The device's side of a transfer: data that the device stores comes out of a pipe, data that it loads goes into one.
// The pipe is non-blocking, so that io_uring copies at once and needs no worker thread.
class Pipe {
 public:
  Pipe() { valid_ = pipe2(ends_, O_CLOEXEC | O_NONBLOCK) == 0; }
  ~Pipe() {
    if (!valid_) return;
    close(ends_[0]);
    close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  bool valid() const { return valid_; }
  int out() const { return ends_[0]; }
  int in() const { return ends_[1]; }
  bool put(std::uint64_t value) const { return write(ends_[1], &value, sizeof value) == sizeof value; }
  bool take(std::uint64_t* value) const { return read(ends_[0], value, sizeof *value) == sizeof *value; }

 private:
  int ends_[2]{};
  bool valid_ = false;
};

// A reference to one page, for reading (get_user_pages_fast with FOLL_GET). vmsplice() puts it into a pipe.
class Reference {
 public:
  bool valid() const { return pipe_.valid(); }
  std::uintptr_t page() const { return page_; }  // 0: free

  int pin(std::uintptr_t page) {  // errno
    const iovec cell{reinterpret_cast<void*>(page), bytes};
    const ssize_t taken = vmsplice(pipe_.in(), &cell, 1, SPLICE_F_NONBLOCK);
    if (taken < 0) return errno;
    if (taken != bytes) return EIO;
    page_ = page;
    return 0;
  }

  int unpin() {  // errno
    std::uint64_t last;
    page_ = 0;
    return pipe_.take(&last) ? 0 : EIO;
  }

  // tee() leaves the reference where it is.
  DeviceAccess load(const Pipe& by_way_of) const {
    DeviceAccess access;
    if (tee(pipe_.out(), by_way_of.in(), bytes, SPLICE_F_NONBLOCK) != bytes || !by_way_of.take(&access.value)) access.error = EIO;
    return access;
  }

 private:
  static constexpr ssize_t bytes = sizeof(std::uint64_t);
  Pipe pipe_;
  std::uintptr_t page_ = 0;
};

// The holder of `page`, or null. Page 0 finds a free holder.
template <typename Holder>
Holder* find(std::list<Holder>& list, std::uintptr_t page) {
  for (Holder& holder : list)
    if (holder.page() == page) return &holder;
  return nullptr;
}

// Pins with a free holder, or with a new one. Returns an errno.
template <typename Holder>
int pin_with(std::list<Holder>& list, std::uintptr_t page) {
  Holder* holder = find(list, 0);
  if (holder == nullptr) {
    holder = &list.emplace_back();
    if (!holder->valid()) {
      const int error = errno;
      list.pop_back();
      return error;
    }
  }
  return holder->pin(page);
}

class PinnedHandle : public DeviceHandle {
 public:
  // Sets errno if valid() is false.
  PinnedHandle() { rings_.emplace_back(); }
  bool valid() const { return pipe_.valid() && rings_.front().valid(); }

  DeviceAccess load(std::uintptr_t address) override {
    const std::lock_guard lock(mutex_);
    if (const Reference* const reference = find(references_, address)) return reference->load(pipe_);
    DeviceAccess access;
    access.error = copy(false, address);
    if (access.error == 0 && !pipe_.take(&access.value)) access.error = EIO;
    return access;
  }

  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    const std::lock_guard lock(mutex_);
    DeviceAccess access;
    if (!pipe_.put(value)) access.error = EIO;
    else access.error = copy(true, address);
    std::uint64_t left;
    if (access.error != 0) pipe_.take(&left);
    return access;
  }

  // All pages or none.
  int pin(std::uintptr_t address, int pages, bool read) override {
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < pages; ++i) {
      const int error = pin_page(address + i * page_size, read);
      if (error == 0) continue;
      while (--i >= 0) unpin_page(address + i * page_size);
      return error;
    }
    return 0;
  }

  // Unpins every pinned page of the range. ENXIO, as the kernel returns it, if one was not pinned.
  int unpin(std::uintptr_t address, int pages) override {
    const std::lock_guard lock(mutex_);
    int error = 0;
    for (int i = 0; i < pages; ++i)
      if (const int failed = unpin_page(address + i * page_size); failed != 0) error = failed;
    return error;
  }

 private:
  // A page can be pinned once. If both pins are for writing, the kernel itself refuses the second one.
  int pin_page(std::uintptr_t page, bool read) {
    Ring* const ring = find(rings_, page);
    if (ring != nullptr && !read) return ring->pin(page);
    if (ring != nullptr || find(references_, page) != nullptr) return EBUSY;
    return read ? pin_with(references_, page) : pin_with(rings_, page);
  }

  int unpin_page(std::uintptr_t page) {
    if (Ring* const ring = find(rings_, page)) return ring->unpin();
    if (Reference* const reference = find(references_, page)) return reference->unpin();
    return ENXIO;
  }

  // Copies 8 bytes at the start of a page. If the page is not pinned, any ring will do: the kernel answers -EFAULT.
  int copy(bool to_memory, std::uintptr_t address) {
    constexpr int bytes = sizeof(std::uint64_t);
    Ring* const ring = find(rings_, address);
    const int done =
        (ring != nullptr ? *ring : rings_.front()).copy(to_memory, to_memory ? pipe_.out() : pipe_.in(), address, bytes);
    if (done < 0) return -done;
    return done == bytes ? 0 : EIO;
  }

  std::mutex mutex_;
  Pipe pipe_;
  std::list<Ring> rings_;  // at least one; a list, because a ring cannot move
  std::list<Reference> references_;
};

}  // namespace

// Tries once what a run does: pin a page, store and load through the pin, pin for reading.
std::string PinnedTarget::unavailable() const {
  const auto why = [](const std::string& what, int error) { return what + ": " + strerror(error); };
  PinnedHandle device;
  if (!device.valid()) {
    const int error = errno;
    if (error == ENOSYS) return "no io_uring: the kernel needs CONFIG_IO_URING (5.1 or later), or a filter hides it";
    if (error == EPERM || error == EACCES)
      return "io_uring is forbidden here: sysctl kernel.io_uring_disabled, or a filter of the container";
    return why("io_uring_setup", error);
  }
  void* const page = kernel_.mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return why("mmap", errno);
  constexpr std::uint64_t value = 0x5eed;
  const auto address = reinterpret_cast<std::uintptr_t>(page);
  std::string wrong;
  if (const int error = device.pin(address, 1, false)) {
    wrong = why("io_uring pins no page", error);
    if (error == ENOMEM) wrong += "; more locked memory would help (ulimit -l), or root";
  } else if (const DeviceAccess store = device.store(address, value); store.error != 0) {
    wrong = why("io_uring does not write to a fixed buffer", store.error);
  } else if (const DeviceAccess load = device.load(address); load.error != 0 || load.value != value) {
    wrong = why("io_uring does not read from a fixed buffer", load.error);
  } else if (const int refused = device.unpin(address, 1) | device.pin(address, 1, true)) {
    wrong = why("vmsplice takes no page", refused);
  }
  kernel_.munmap(page, page_size);
  return wrong;
}

Capabilities PinnedTarget::capabilities() const {
  Capabilities can;
  can.device_class = DeviceClass::pinned;
  can.sight.faults = false;
  can.sight.identity = frames_unavailable(kernel_).empty();
  can.pin = true;
  // A child would share the ring's queues (memory) with its parent. No lock that protects them survives the death of
  // its holder.
  can.inherited = false;
  return can;
}

std::unique_ptr<DeviceHandle> PinnedTarget::open(int) {
  auto handle = std::make_unique<PinnedHandle>();
  if (handle->valid()) return handle;
  const int error = errno;
  handle.reset();
  errno = error;
  return nullptr;
}

}  // namespace faultline
