// Interrupts: eventfds of the client.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "drm_glue/softgpu/vfio_user/descriptor.h"
#include "drm_glue/softgpu/vfio_user/wire.h"

namespace faultline::vfio_user {

// One MSI vector, and no other interrupt.
class Interrupts {
 public:
  static constexpr std::uint32_t kinds = VFIO_PCI_NUM_IRQS;
  static std::uint32_t count(std::uint32_t index) { return index == VFIO_PCI_MSI_IRQ_INDEX ? 1 : 0; }
  static std::uint32_t flags(std::uint32_t index) {
    return index == VFIO_PCI_MSI_IRQ_INDEX ? VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE : 0;
  }

  // SET_IRQS: the fixed part, what follows it, and descriptors. An errno.
  int set(const SetIrqsRequest& request, std::span<const std::byte> data, std::vector<Descriptor>& descriptors);
  // False: nobody listens, or the client does not read what it was told before.
  bool signal_msi();
  void clear() { msi_ = Descriptor(); }

 private:
  Descriptor msi_;
};

}  // namespace faultline::vfio_user
