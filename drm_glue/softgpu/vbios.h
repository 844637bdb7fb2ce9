// A VBIOS: the tables that the driver reads, and no code.
#pragma once

#include <cstdint>
#include <vector>

namespace faultline::softgpu {

inline constexpr std::uint16_t amd_vendor = 0x1002, vega20_device = 0x66a1;
inline constexpr std::size_t vbios_bytes = 4096;

std::vector<std::uint8_t> vbios();

}  // namespace faultline::softgpu
