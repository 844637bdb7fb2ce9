// The vfio-user protocol (QEMU's docs/interop/vfio-user.rst): what is sent over the socket, in the host's byte order.
// Flags of regions, interrupts and mappings are those of <linux/vfio.h>.
#pragma once

#include <linux/vfio.h>

#include <cstddef>
#include <cstdint>

namespace faultline::vfio_user {

enum class Command : std::uint16_t {
  version = 1,
  dma_map = 2,
  dma_unmap = 3,
  get_info = 4,
  get_region_info = 5,
  get_region_io_fds = 6,
  get_irq_info = 7,
  set_irqs = 8,
  region_read = 9,
  region_write = 10,
  reset = 13,
  dirty_pages = 14,  // of drafts of the protocol
  region_write_multi = 15,
};

struct Header {
  std::uint16_t id = 0;
  std::uint16_t command = 0;
  std::uint32_t size = 0;  // of the whole message
  std::uint32_t flags = 0;
  std::uint32_t error = 0;
};
static_assert(sizeof(Header) == 16);

namespace flag {
inline constexpr std::uint32_t type_mask = 0xf, reply = 1, no_reply = 1u << 4, error = 1u << 5;
}

struct DmaMapRequest {
  std::uint32_t argsz, flags;
  std::uint64_t offset, address, size;
};
static_assert(sizeof(DmaMapRequest) == 32);

struct DmaUnmapRequest {
  std::uint32_t argsz, flags;
  std::uint64_t address, size;
};
static_assert(sizeof(DmaUnmapRequest) == 24);

struct SetIrqsRequest {  // vfio_irq_set; data or descriptors follow
  std::uint32_t argsz, flags, index, start, count;
};
static_assert(sizeof(SetIrqsRequest) == sizeof(vfio_irq_set));

struct Access {  // of a region; data follow
  std::uint64_t offset;
  std::uint32_t region, count;
};
static_assert(sizeof(Access) == 16);

struct SmallWrite {  // one of region_write_multi
  Access where;
  std::byte data[8];
};
static_assert(sizeof(SmallWrite) == 24);

inline constexpr std::uint16_t major_version = 0, minor_version = 1;
inline constexpr std::uint32_t most_data = 1u << 20;  // that one message reads or writes
inline constexpr std::size_t most_descriptors = 8;    // that come with one message
inline constexpr std::uint32_t most_bytes = sizeof(Header) + 4096 + most_data;

}  // namespace faultline::vfio_user
