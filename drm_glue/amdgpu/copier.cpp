#include "drm_glue/amdgpu/copier.h"

#include <amdgpu_drm.h>

namespace faultline::amdgpu {
namespace {

constexpr std::uint32_t op_copy = 1, op_fence = 5;

std::uint32_t low(std::uint64_t address) { return static_cast<std::uint32_t>(address); }
std::uint32_t high(std::uint64_t address) { return static_cast<std::uint32_t>(address >> 32); }

}  // namespace

std::array<std::uint32_t, 7> copy_linear(std::uint32_t family, std::uint64_t to, std::uint64_t from, std::uint32_t bytes) {
  const std::uint32_t size = family >= AMDGPU_FAMILY_AI ? bytes - 1 : bytes;
  return {op_copy, size, 0, low(from), high(from), low(to), high(to)};
}

std::array<std::uint32_t, 4> fence(std::uint64_t to, std::uint32_t value) { return {op_fence, low(to), high(to), value}; }

bool has_copy_linear(std::uint32_t family) { return family >= AMDGPU_FAMILY_CI; }

}  // namespace faultline::amdgpu
