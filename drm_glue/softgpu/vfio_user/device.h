// The device behind the protocol.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "drm_glue/softgpu/vfio_user/pci_config.h"
#include "drm_glue/softgpu/vfio_user/wire.h"

namespace faultline::vfio_user {

struct Area {
  std::uint64_t offset = 0, size = 0;
};

// A BAR or the ROM.
struct Region {
  std::uint64_t size = 0;  // 0: there is none
  bool writable = true;
  bool wide = false, prefetchable = false;
  // A region of memory, which the client may map. Else accesses are given to the device.
  int fd = -1;
  std::span<std::byte> memory;
  std::vector<Area> areas;  // that the client may map; none: all of it
};

struct Layout {
  static constexpr std::size_t rom = VFIO_PCI_ROM_REGION_INDEX, config = VFIO_PCI_CONFIG_REGION_INDEX;
  PciIdentity identity;
  std::array<Region, 7> regions;  // BAR0 to BAR5, ROM
};

class Device {
 public:
  virtual ~Device() = default;
  // Of a region without memory; within its size, and of at most most_data bytes.
  virtual void read(unsigned region, std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual void write(unsigned region, std::uint64_t offset, std::span<const std::byte> in) = 0;
  virtual void reset() = 0;
  // Does what is due. How long nothing more is; none: until it is accessed again.
  virtual std::optional<std::chrono::nanoseconds> run() { return std::nullopt; }
};

}  // namespace faultline::vfio_user
