// PCI configuration space: identity, BARs, and a capability for one MSI vector.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace faultline::vfio_user {

struct PciIdentity {
  std::uint16_t vendor = 0, device = 0, subsystem_vendor = 0, subsystem = 0;
  std::uint32_t class_code = 0;  // 24 bits
  std::uint8_t revision = 0;
};

struct PciBar {
  std::uint64_t size = 0;  // a power of two; 0: there is none
  bool wide = false;       // 64 bits: the next one is its upper half
  bool prefetchable = false;
};

class PciConfig {
 public:
  static constexpr std::size_t size = 4096;
  static constexpr std::size_t command_at = 0x04, bars_at = 0x10, rom_at = 0x30, msi_at = 0x50;

  PciConfig(const PciIdentity& identity, const std::array<PciBar, 6>& bars, std::uint32_t rom_size);

  // Within its size. A write changes what is writable; of a BAR the address's bits, so that all ones read back as its size.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  void write(std::uint64_t offset, std::span<const std::byte> in);
  void reset();

  bool bus_master() const { return value_[command_at] & 4; }
  bool msi_enabled() const { return value_[msi_at + 2] & 1; }

 private:
  void put(std::size_t at, std::uint32_t value, std::uint32_t writable, std::size_t bytes);

  std::array<std::uint8_t, size> value_{}, writable_{}, initial_{};
};

}  // namespace faultline::vfio_user
