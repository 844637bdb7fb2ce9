// Physical memory as the GPU sees it: its VRAM, and the machine's memory over the bus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "drm_glue/softgpu/vfio_user/dma.h"

namespace faultline::softgpu {

struct Physical {
  std::uint64_t address = 0;
  bool system = false;  // over the bus; else in VRAM
};

class Memory {
 public:
  Memory(std::span<std::byte> vram, const vfio_user::DmaMap& dma) : vram_(vram), dma_(dma) {}

  // Null: there is no such memory, or the client has not given it.
  std::byte* at(Physical where, std::uint64_t size, bool write) const {
    if (where.system) return dma_.at(where.address, size, write);
    if (where.address >= vram_.size() || size > vram_.size() - where.address) return nullptr;
    return vram_.data() + where.address;
  }
  std::uint64_t vram_size() const { return vram_.size(); }

 private:
  std::span<std::byte> vram_;
  const vfio_user::DmaMap& dma_;
};

}  // namespace faultline::softgpu
