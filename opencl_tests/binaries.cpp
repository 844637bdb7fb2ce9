#include "opencl_tests/binaries.h"

#include <errno.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <system_error>

namespace faultline::opencl {

struct Binaries::Slot {
  // If a process is killed while it writes, the state stays `writing`, and every process builds for itself.
  enum : std::uint32_t { empty, writing, kept };
  std::atomic<std::uint32_t> state;
  std::size_t bytes;
  std::array<unsigned char, most_bytes> binary;
};

Binaries::Binaries() {
  void* const memory =
      mmap(nullptr, source_count * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "memory for the binaries of kernels");
  slots_ = static_cast<Slot*>(memory);
}

Binaries::~Binaries() { munmap(slots_, source_count * sizeof(Slot)); }

std::vector<unsigned char> Binaries::find(Source source) const {
  const Slot& slot = slots_[static_cast<int>(source)];
  if (slot.state.load(std::memory_order_acquire) != Slot::kept) return {};
  return {slot.binary.begin(), slot.binary.begin() + static_cast<std::ptrdiff_t>(slot.bytes)};
}

void Binaries::keep(Source source, std::span<const unsigned char> binary) {
  Slot& slot = slots_[static_cast<int>(source)];
  std::uint32_t none = Slot::empty;
  if (binary.empty() || binary.size() > most_bytes || !slot.state.compare_exchange_strong(none, Slot::writing)) return;
  std::ranges::copy(binary, slot.binary.begin());
  slot.bytes = binary.size();
  slot.state.store(Slot::kept, std::memory_order_release);
}

}  // namespace faultline::opencl
