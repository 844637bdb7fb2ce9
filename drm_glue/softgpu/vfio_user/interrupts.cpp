#include "drm_glue/softgpu/vfio_user/interrupts.h"

#include <errno.h>
#include <poll.h>

#include <bit>

namespace faultline::vfio_user {

int Interrupts::set(const SetIrqsRequest& request, std::span<const std::byte> data, std::vector<Descriptor>& descriptors) {
  const std::uint32_t kind = request.flags & VFIO_IRQ_SET_DATA_TYPE_MASK, action = request.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
  if (request.index >= kinds || std::popcount(kind) != 1 || std::popcount(action) != 1) return EINVAL;
  if (request.flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)) return EINVAL;
  if (action != VFIO_IRQ_SET_ACTION_TRIGGER) return EINVAL;  // none can be masked
  if (kind == VFIO_IRQ_SET_DATA_NONE && request.count == 0 && request.start == 0) {
    if (request.index == VFIO_PCI_MSI_IRQ_INDEX) clear();
    return 0;
  }
  const std::uint32_t most = count(request.index);
  if (request.count == 0 || request.start >= most || request.count > most - request.start) return EINVAL;
  if (kind == VFIO_IRQ_SET_DATA_EVENTFD) {
    if (descriptors.size() > 1) return EINVAL;
    msi_ = descriptors.empty() ? Descriptor() : std::move(descriptors.front());
    return 0;
  }
  if (kind == VFIO_IRQ_SET_DATA_BOOL) {
    if (data.size() != request.count) return EINVAL;
    if (data[0] == std::byte{0}) return 0;
  }
  signal_msi();
  return 0;
}

bool Interrupts::signal_msi() {
  pollfd ready{msi_.get(), POLLOUT, 0};  // the descriptor may be one whose write blocks
  if (!msi_ || poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return false;
  const std::uint64_t one = 1;
  return write(msi_.get(), &one, sizeof one) == sizeof one;
}

}  // namespace faultline::vfio_user
