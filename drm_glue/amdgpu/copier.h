// What copies memory for the GPU: a job of the kernel's (sdma.h), or a queue of the process's own (user_queue.h). Both write
// the same packet.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace faultline::amdgpu {

// COPY_LINEAR, seven words. Since SDMA 4 (gfx9, AMDGPU_FAMILY_AI) the size field holds bytes - 1.
std::array<std::uint32_t, 7> copy_linear(std::uint32_t family, std::uint64_t to, std::uint64_t from, std::uint32_t bytes);

// FENCE, four words: writes `value` when what is before it is done. Since SDMA 4.
std::array<std::uint32_t, 4> fence(std::uint64_t to, std::uint32_t value);

// gfx6 has a different copy packet.
bool has_copy_linear(std::uint32_t family);

// For one thread at a time.
class Copier {
 public:
  virtual ~Copier() = default;

  // Copies, and waits for the end. `buffers`: GEM handles of all BOs that it touches. Throws Failure.
  virtual void copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes, std::span<const std::uint32_t> buffers) = 0;

  // A word that CPU and GPU reach: source or destination of a copy.
  virtual std::uint64_t& word() = 0;
  virtual std::uint64_t word_address() const = 0;

  // Resets since it was made: "reset, VRAM lost"; empty: none, or nobody tells.
  virtual std::string resets() const { return {}; }
};

}  // namespace faultline::amdgpu
