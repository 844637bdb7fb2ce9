#include "drm_glue/host.h"

#include <errno.h>

#include <atomic>

#include "drm_glue/pagemap.h"
#include "drm_glue/swap.h"

namespace faultline {
namespace {

// When one of these accesses faults, the executor catches the signal and jumps out of the function. So they are never
// inlined. Assembly also hides them from the sanitizers, which know nothing about the memory under test.
#if defined(__x86_64__)
[[gnu::noinline]] std::uint64_t fenced_load(std::uintptr_t address) {
  std::uint64_t value;
  asm volatile("mfence\n\tmov (%1), %0\n\tmfence" : "=r"(value) : "r"(address) : "memory");
  return value;
}
[[gnu::noinline]] void fenced_store(std::uintptr_t address, std::uint64_t value) {
  asm volatile("mfence\n\tmov %1, (%0)\n\tmfence" : : "r"(address), "r"(value) : "memory");
}
#else
[[gnu::noinline]] std::uint64_t fenced_load(std::uintptr_t address) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint64_t value = *reinterpret_cast<const volatile std::uint64_t*>(address);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return value;
}
[[gnu::noinline]] void fenced_store(std::uintptr_t address, std::uint64_t value) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  *reinterpret_cast<volatile std::uint64_t*>(address) = value;
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
#endif

class HostHandle : public DeviceHandle {
 public:
  DeviceAccess load(std::uintptr_t address) override { return {0, fenced_load(address), false}; }
  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    fenced_store(address, value);
    return {};
  }
  int ordered(std::span<OrderedAccess> accesses) override {
    for (OrderedAccess& access : accesses) do_on_cpu(access);
    return 0;
  }
};

}  // namespace

Capabilities HostTarget::capabilities() const {
  Capabilities can;
  can.device_class = DeviceClass::shares_cpu_tables;
  can.sight.faults = false;
  can.sight.identity = frames_unavailable(kernel_).empty();
  // A CPU thread uses the page tables of its own mm, so it cannot play a device that mirrors another mm.
  can.inherited = false;
  can.atomics = true;
  can.swap = has_swap(kernel_);
  return can;
}

std::unique_ptr<DeviceHandle> HostTarget::open(int) { return std::make_unique<HostHandle>(); }

}  // namespace faultline
