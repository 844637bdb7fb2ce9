#include "drm_glue/dmirror.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <mutex>

#include "drm_glue/pagemap.h"
#include "drm_glue/swap.h"

namespace faultline {
namespace {

constexpr std::size_t page_size = 4096;
constexpr const char* device_paths[] = {"/dev/hmm_dmirror0", "/dev/hmm_dmirror1"};
static_assert(limits::devices <= 2);

class DmirrorHandle : public DeviceHandle {
 public:
  DmirrorHandle(Kernel& kernel, int fd) : kernel_(kernel), fd_(fd) {}
  ~DmirrorHandle() override { kernel_.close(fd_); }
  DmirrorHandle(const DmirrorHandle&) = delete;
  DmirrorHandle& operator=(const DmirrorHandle&) = delete;

  // dmirror_interval_invalidate() has erased every entry of the device's table by then. Since 6.1 a close looks at each page of
  // the device's memory (dmirror_device_evict_chunk()), and takes longer than the rest of an iteration.
  bool keep() override {
    const std::lock_guard lock(mutex_);
    pins_.reset();
    return true;
  }

  DeviceAccess load(std::uintptr_t address) override {
    // On the stack: many threads may be here at once, and a forked child must not allocate.
    alignas(page_size) unsigned char page[page_size];
    dmirror::Command command{};
    DeviceAccess access;
    access.error = submit(dmirror::read_pages, address, page, 1, command);
    if (access.error != 0) return access;
    if (command.cpages != 1) access.error = EIO;  // success without a copy: the driver broke its promise
    memcpy(&access.value, page, sizeof access.value);
    access.faulted = command.faults > 0;
    return access;
  }

  // The device writes whole pages. The other words derive from the value, so that a dump shows when a page mixes two
  // stores.
  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    alignas(page_size) unsigned char page[page_size];
    for (std::size_t word = 0; word < page_size / sizeof value; ++word) {
      const std::uint64_t pattern = value + word;
      memcpy(page + word * sizeof value, &pattern, sizeof pattern);
    }
    dmirror::Command command{};
    DeviceAccess access;
    access.error = submit(dmirror::write_pages, address, page, 1, command);
    if (access.error == 0 && command.cpages != 1) access.error = EIO;
    access.faulted = command.faults > 0;
    return access;
  }

  // The driver wants a buffer in both directions: after a migration to the device it copies the pages back to us. It
  // fails with -ENOENT when a page is already gone by then.
  int migrate(std::uintptr_t address, int pages, bool to_device) override {
    alignas(page_size) unsigned char buffer[limits::pages_per_request * page_size];
    if (pages == 0)  // makes the stack ready for the next call
      for (std::size_t at = 0; at < sizeof buffer; at += page_size) buffer[at] = 0;
    dmirror::Command command{};
    return submit(to_device ? dmirror::migrate_to_device : dmirror::migrate_to_system, address, buffer, pages, command);
  }

  // The exclusive request copies the pages back to us, as a migration does. The check ignores the buffer.
  int exclusive(std::uintptr_t address, int pages, bool check) override {
    alignas(page_size) unsigned char buffer[limits::pages_per_request * page_size];
    dmirror::Command command{};
    return submit(check ? dmirror::check_exclusive : dmirror::exclusive_pages, address, buffer, pages, command);
  }

  int snapshot(std::uintptr_t address, std::span<unsigned char> bytes_per_page) override {
    dmirror::Command command{};
    return submit(dmirror::snapshot_pages, address, bytes_per_page.data(), static_cast<int>(bytes_per_page.size()), command);
  }

  // This device needs no pins. These stand for another holder that keeps the pages in place.
  int pin(std::uintptr_t address, int pages, bool read) override {
    const std::lock_guard lock(mutex_);
    if (!pins_) pins_ = PinnedTarget(kernel_).open(0);
    return pins_ ? pins_->pin(address, pages, read) : errno;
  }
  int unpin(std::uintptr_t address, int pages) override {
    const std::lock_guard lock(mutex_);
    return pins_ ? pins_->unpin(address, pages) : ENXIO;
  }

  int location(std::uintptr_t address, Location& location) override {
    return page_location(kernel_, address, "hmm_dmirror", location);
  }

 private:
  int submit(unsigned long request, std::uintptr_t address, void* buffer, int pages, dmirror::Command& command) {
    for (;;) {
      command = {address, reinterpret_cast<std::uintptr_t>(buffer), static_cast<std::uint64_t>(pages), 0, 0};
      if (kernel_.ioctl(fd_, request, &command) >= 0) return 0;
      if (errno != EINTR) return errno;
    }
  }

  Kernel& kernel_;
  const int fd_;
  std::mutex mutex_;
  std::unique_ptr<DeviceHandle> pins_;  // made by the first pin()
};

}  // namespace

std::string DmirrorTarget::unavailable() const {
  const int fd = kernel_.open(device_paths[0], O_RDWR);
  if (fd >= 0) {
    kernel_.close(fd);
    return {};
  }
  if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
    return std::string(device_paths[0]) +
           " is not there: the kernel needs CONFIG_TEST_HMM (module test_hmm); the virtual lab's kernel has it";
  if (errno == EACCES || errno == EPERM) return std::string(device_paths[0]) + ": no permission; root may open it";
  return std::string(device_paths[0]) + ": " + strerror(errno);
}

Capabilities DmirrorTarget::capabilities() const {
  Capabilities can;
  can.device_class = DeviceClass::recoverable;
  can.sight.faults = true;
  can.sight.identity = can.sight.location = frames_unavailable(kernel_).empty();
  can.migrate = true;
  can.snapshot = true;
  if (!can_pin_) can_pin_ = pins_.unavailable().empty();
  can.pin = *can_pin_;
  can.exclusive = true;
  can.inherited = true;
  can.swap = has_swap(kernel_);
  return can;
}

std::unique_ptr<DeviceHandle> DmirrorTarget::open(int device) {
  if (device < 0 || device >= static_cast<int>(std::size(device_paths))) {
    errno = ENODEV;
    return nullptr;
  }
  const int fd = kernel_.open(device_paths[device], O_RDWR);
  if (fd < 0) return nullptr;
  return std::make_unique<DmirrorHandle>(kernel_, fd);
}

}  // namespace faultline
