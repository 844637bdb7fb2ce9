// Registers of a Vega20 by name, as dwords of BAR5. ninja makes the names of the driver's headers (registers.py).
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace faultline::softgpu {

struct Field {
  unsigned shift;
  std::uint32_t mask;
  constexpr std::uint32_t of(std::uint32_t value) const { return (value & mask) >> shift; }
  constexpr std::uint32_t set(std::uint32_t field) const { return (field << shift) & mask; }
};

#include "drm_glue/softgpu/registers.inc"

inline constexpr unsigned register_count = 0x20000;  // 512 KiB

// "mmhub::VM_L2_CNTL", or a number.
std::string register_name(unsigned offset);

// What nothing else is done with: it is kept.
class RegisterFile {
 public:
  std::uint32_t& operator[](unsigned offset) { return values_[offset % register_count]; }
  std::uint32_t operator[](unsigned offset) const { return values_[offset % register_count]; }
  // Of a pair: the low one and the high one.
  std::uint64_t pair(unsigned low, unsigned high) const { return (*this)[low] | std::uint64_t{(*this)[high]} << 32; }
  void set_pair(unsigned low, unsigned high, std::uint64_t value) {
    (*this)[low] = static_cast<std::uint32_t>(value);
    (*this)[high] = static_cast<std::uint32_t>(value >> 32);
  }
  void clear() { values_ = {}; }

 private:
  std::array<std::uint32_t, register_count> values_{};
};

}  // namespace faultline::softgpu
