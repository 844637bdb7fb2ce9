// Copies by the GPU's SDMA engine, each a job of its own through the kernel's scheduler (amdgpu_cs.c), waited for.
#pragma once

#include <amdgpu_drm.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "drm_glue/amdgpu/memory.h"

namespace faultline::amdgpu {

static_assert(sizeof(drm_amdgpu_cs_chunk) == 16 && sizeof(drm_amdgpu_cs_chunk_ib) == 32 && sizeof(drm_amdgpu_cs) == 24 &&
              sizeof(drm_amdgpu_bo_list_in) == 24 && sizeof(drm_amdgpu_bo_list_entry) == 8 && sizeof(drm_amdgpu_wait_cs) == 32);
static_assert(offsetof(drm_amdgpu_cs_chunk_ib, va_start) == 8 && offsetof(drm_amdgpu_cs_chunk_ib, ip_type) == 20);

// COPY_LINEAR, seven words. The size has counted from 0 since SDMA 4 (gfx9, AMDGPU_FAMILY_AI).
std::array<std::uint32_t, 7> copy_linear(std::uint32_t family, std::uint64_t to, std::uint64_t from, std::uint32_t bytes);

// Whether the engine of that family knows this packet: gfx6 has another.
bool has_copy_linear(std::uint32_t family);

// One thread's use of the engine: a context of the scheduler and a page for commands and data.
class Sdma {
 public:
  explicit Sdma(Device& device);
  ~Sdma();
  Sdma(const Sdma&) = delete;
  Sdma& operator=(const Sdma&) = delete;

  // `buffers`: what the job reaches, by handles of GEM. Failure: what the kernel refuses the job for (EFAULT, EPERM:
  // hmm_range_fault on a UserPage; ENODEV: the device is gone), ECANCELED: lost in a reset, ETIME: the engine hangs.
  void copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes, std::span<const std::uint32_t> buffers);

  // A word that both sides reach, for the ends of copies.
  std::uint64_t& word() { return *reinterpret_cast<std::uint64_t*>(static_cast<std::byte*>(page_.cpu()) + word_offset); }
  std::uint64_t word_address() const { return page_.address() + word_offset; }

  // What became of the engine since the context was made (amdgpu_cs_query_reset_state2): "reset, VRAM lost"; empty:
  // nothing.
  std::string resets() const;

 private:
  static constexpr std::size_t word_offset = 2048;

  Device& device_;
  Buffer page_;
  amdgpu_context_handle context_ = nullptr;
};

}  // namespace faultline::amdgpu
