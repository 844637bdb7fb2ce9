#include "drm_glue/softgpu/vfio_user/pci_config.h"

#include <linux/pci_regs.h>

namespace faultline::vfio_user {

PciConfig::PciConfig(const PciIdentity& identity, const std::array<PciBar, 6>& bars, std::uint32_t rom_size) {
  put(PCI_VENDOR_ID, identity.vendor, 0, 2);
  put(PCI_DEVICE_ID, identity.device, 0, 2);
  put(PCI_COMMAND, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE,
      2);
  put(PCI_STATUS, PCI_STATUS_CAP_LIST, 0, 2);
  put(PCI_REVISION_ID, identity.revision | identity.class_code << 8, 0, 4);
  put(PCI_CACHE_LINE_SIZE, 0, 0xff, 1);
  put(PCI_LATENCY_TIMER, 0, 0xff, 1);
  put(PCI_SUBSYSTEM_VENDOR_ID, identity.subsystem_vendor, 0, 2);
  put(PCI_SUBSYSTEM_ID, identity.subsystem, 0, 2);
  put(PCI_CAPABILITY_LIST, msi_at, 0, 1);
  put(PCI_INTERRUPT_LINE, 0, 0xff, 1);
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (bars[i].size == 0) continue;
    const std::uint64_t writable = ~(bars[i].size - 1);
    const std::uint32_t kind =
        (bars[i].wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) | (bars[i].prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
    put(bars_at + 4 * i, kind, static_cast<std::uint32_t>(writable), 4);
    if (bars[i].wide) put(bars_at + 4 * ++i, 0, static_cast<std::uint32_t>(writable >> 32), 4);
  }
  if (rom_size) put(rom_at, 0, ~(rom_size - 1) | PCI_ROM_ADDRESS_ENABLE, 4);
  put(msi_at + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT, PCI_MSI_FLAGS_ENABLE, 2);
  put(msi_at, PCI_CAP_ID_MSI, 0, 1);
  put(msi_at + PCI_MSI_ADDRESS_LO, 0, ~std::uint32_t{3}, 4);
  put(msi_at + PCI_MSI_ADDRESS_HI, 0, ~std::uint32_t{0}, 4);
  put(msi_at + PCI_MSI_DATA_64, 0, 0xffff, 2);
  initial_ = value_;
}

void PciConfig::put(std::size_t at, std::uint32_t value, std::uint32_t writable, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    value_[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
    writable_[at + i] = static_cast<std::uint8_t>(writable >> 8 * i);
  }
}

void PciConfig::read(std::uint64_t offset, std::span<std::byte> out) const {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::byte{value_.at(offset + i)};
}

void PciConfig::write(std::uint64_t offset, std::span<const std::byte> in) {
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::uint8_t mask = writable_.at(offset + i);
    std::uint8_t& value = value_.at(offset + i);
    value = static_cast<std::uint8_t>((value & ~mask) | (std::to_integer<std::uint8_t>(in[i]) & mask));
  }
}

void PciConfig::reset() { value_ = initial_; }

}  // namespace faultline::vfio_user
