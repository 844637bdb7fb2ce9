#include "harness/executor/userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "harness/executor/value.h"
#include "harness/queries.h"

namespace faultline {
namespace {

// A descriptor that has asked for no feature, and the features that the kernel has. -1 with errno set on failure.
int open_userfaultfd(std::uint64_t* features) {
  const int descriptor = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
  if (descriptor < 0) return -1;
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  if (ioctl(descriptor, UFFDIO_API, &api) == 0) {
    *features = api.features;
    return descriptor;
  }
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

uffdio_range range_of(const Layout& layout, const PageRange& range) {
  return {.start = layout.address_of(range), .len = bytes_of(range)};
}

int ioctl_errno(int descriptor, unsigned long number, void* argument) {
  return ioctl(descriptor, number, argument) == 0 ? 0 : errno;
}

std::uint64_t number_of(op::UffdRegister::Mode mode) {
  switch (mode) {
    case op::UffdRegister::Mode::missing: return UFFDIO_REGISTER_MODE_MISSING;
    case op::UffdRegister::Mode::wp: return UFFDIO_REGISTER_MODE_WP;
    case op::UffdRegister::Mode::both: return UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP;
  }
  return 0;
}

}  // namespace

const char* Userfault::prepare(const Program& program, int process) {
  close();
  for (const Thread& thread : program.threads) {
    if (thread.process != process || descriptor_ >= 0) continue;
    for (const Statement& statement : thread.statements) {
      std::uint64_t features = 0;
      if (!is_uffd(statement.operation)) continue;
      descriptor_ = open_userfaultfd(&features);
      if (descriptor_ < 0) return "cannot open a userfaultfd";
      break;
    }
  }
  return nullptr;
}

void Userfault::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

int Userfault::request(const op::UffdRegister& o, const Layout& layout, std::uint64_t) const {
  uffdio_register request{.range = range_of(layout, o.range), .mode = number_of(o.mode), .ioctls = 0};
  return ioctl_errno(descriptor_, UFFDIO_REGISTER, &request);
}

int Userfault::request(const op::UffdUnregister& o, const Layout& layout, std::uint64_t) const {
  uffdio_range range = range_of(layout, o.range);
  return ioctl_errno(descriptor_, UFFDIO_UNREGISTER, &range);
}

// One page, with the value's word in front of zeroes.
int Userfault::request(const op::UffdCopy& o, const Layout& layout, std::uint64_t iteration) const {
  alignas(page_bytes) std::array<char, page_bytes> page{};
  const std::uint64_t word = encode_word(iteration, layout.spans.of(o.cell), o.value);
  std::memcpy(page.data(), &word, sizeof word);
  uffdio_copy request{.dst = layout.address_of(o.cell),
                      .src = reinterpret_cast<std::uintptr_t>(page.data()),
                      .len = page.size(),
                      .mode = 0,
                      .copy = 0};
  return ioctl_errno(descriptor_, UFFDIO_COPY, &request);
}

int Userfault::request(const op::UffdZero& o, const Layout& layout, std::uint64_t) const {
  uffdio_zeropage request{.range = range_of(layout, o.range), .mode = 0, .zeropage = 0};
  return ioctl_errno(descriptor_, UFFDIO_ZEROPAGE, &request);
}

int Userfault::request(const op::UffdProtect& o, const Layout& layout, std::uint64_t) const {
  uffdio_writeprotect request{.range = range_of(layout, o.range), .mode = o.set ? UFFDIO_WRITEPROTECT_MODE_WP : 0ULL};
  return ioctl_errno(descriptor_, UFFDIO_WRITEPROTECT, &request);
}

int Userfault::request(const op::UffdWake& o, const Layout& layout, std::uint64_t) const {
  uffdio_range range = range_of(layout, o.range);
  return ioctl_errno(descriptor_, UFFDIO_WAKE, &range);
}

void Userfault::repeat_wakes(const Thread& thread, const Layout& layout, const std::function<bool()>& over) const {
  constexpr long longest_ns = 500'000'000;
  for (long ns = 1'000'000; ns <= longest_ns && descriptor_ >= 0; ns *= 2) {
    bool any = false;
    for (const Statement& statement : thread.statements) {
      const auto* protect = std::get_if<op::UffdProtect>(&statement.operation);
      if (!protect || protect->set) continue;
      any = true;
      request(op::UffdWake{protect->range}, layout, 0);
    }
    if (!any || over()) return;
    const timespec time{0, ns};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
  }
}

bool has_userfaultfd() {
  std::uint64_t features = 0;
  const int descriptor = open_userfaultfd(&features);
  if (descriptor >= 0) ::close(descriptor);
  return descriptor >= 0 && (features & UFFD_FEATURE_PAGEFAULT_FLAG_WP);
}

}  // namespace faultline
