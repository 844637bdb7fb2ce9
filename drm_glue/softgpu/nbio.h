// NBIO, HDP and ATHUB: the size of VRAM, flushes of HDP, registers of the system management network, PASIDs.
#pragma once

#include <unordered_map>

#include "drm_glue/softgpu/log.h"
#include "drm_glue/softgpu/registers.h"

namespace faultline::softgpu {

class Nbio {
 public:
  Nbio(RegisterFile& registers, std::uint64_t vram_size, Log& log) : registers_(registers), vram_size_(vram_size), log_(log) {}

  bool owns(unsigned offset) const;
  std::uint32_t read(unsigned offset) const;
  void write(unsigned offset, std::uint32_t value);
  // The values that a VBIOS leaves.
  void reset();

  static constexpr std::uint64_t vram_base = std::uint64_t{0x80} << 32;  // as the GPU addresses it
  static constexpr std::size_t most_smn = 4096;                          // registers that are kept

 private:
  RegisterFile& registers_;
  std::uint64_t vram_size_;
  Log& log_;
  std::unordered_map<std::uint32_t, std::uint32_t> smn_;
};

}  // namespace faultline::softgpu
