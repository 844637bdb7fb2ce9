// The kernel's HMM test device (lib/test_hmm.c) as a target: real hmm_range_fault, real interval notifiers. The device
// shows its page table and its fault count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "drm_glue/kernel.h"
#include "drm_glue/pinned.h"
#include "harness/target.h"

namespace faultline {

// A copy of lib/test_hmm_uapi.h, which kernels do not install. The same in every tree since v5.8 (b2ef9f5a5cb37,
// "mm/hmm/test: add selftest driver for HMM").
namespace dmirror {
struct Command {
  std::uint64_t addr;    // of the first page; page-aligned, or -EINVAL
  std::uint64_t ptr;     // our buffer: the pages to read or write; for a snapshot one byte per page
  std::uint64_t npages;  // not 0, or -EINVAL
  std::uint64_t cpages;  // out: pages copied
  std::uint64_t faults;  // out: calls of the fault path; not written when the request fails
};
static_assert(sizeof(Command) == 40);
static_assert(offsetof(Command, ptr) == 8 && offsetof(Command, npages) == 16 && offsetof(Command, cpages) == 24 &&
              offsetof(Command, faults) == 32);

// _IOWR('H', number, struct hmm_dmirror_cmd), spelt out so that the tests can check it against <sys/ioctl.h>.
constexpr unsigned long request(unsigned number) { return 3ul << 30 | sizeof(Command) << 16 | 'H' << 8 | number; }
inline constexpr unsigned long read_pages = request(0);
inline constexpr unsigned long write_pages = request(1);
inline constexpr unsigned long migrate_to_device = request(2);
inline constexpr unsigned long migrate_to_system = request(3);
inline constexpr unsigned long snapshot_pages = request(4);
// Exclusive access: since v5.14 (b659baea7546, "mm: selftests for exclusive device memory").
inline constexpr unsigned long exclusive_pages = request(5);
inline constexpr unsigned long check_exclusive = request(6);
}  // namespace dmirror

class DmirrorTarget : public Target {
 public:
  explicit DmirrorTarget(Kernel& kernel = real_kernel()) : kernel_(kernel) {}
  std::string name() const override { return "dmirror"; }
  std::string driver() const override { return "test_hmm"; }
  std::string unavailable() const override;
  Capabilities capabilities() const override;
  bool takes_signals() const override { return true; }       // test_hmm waits for locks and notifiers uninterruptibly
  bool bears_page_changes() const override { return true; }  // hmm_range_fault() brings them back
  std::unique_ptr<DeviceHandle> open(int device) override;

 private:
  Kernel& kernel_;
  PinnedTarget pins_{kernel_};
  mutable std::optional<bool> can_pin_;
};

}  // namespace faultline
