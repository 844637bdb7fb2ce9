// Copies by the GPU's SDMA engine. Each copy is one job through the kernel's scheduler (amdgpu_cs.c); the caller waits
// for it.
#pragma once

#include <amdgpu_drm.h>

#include "drm_glue/amdgpu/copier.h"
#include "drm_glue/amdgpu/memory.h"

namespace faultline::amdgpu {

static_assert(sizeof(drm_amdgpu_cs_chunk) == 16 && sizeof(drm_amdgpu_cs_chunk_ib) == 32 && sizeof(drm_amdgpu_cs) == 24 &&
              sizeof(drm_amdgpu_bo_list_in) == 24 && sizeof(drm_amdgpu_bo_list_entry) == 8 && sizeof(drm_amdgpu_wait_cs) == 32);
static_assert(offsetof(drm_amdgpu_cs_chunk_ib, va_start) == 8 && offsetof(drm_amdgpu_cs_chunk_ib, ip_type) == 20);

// For one thread at a time: a scheduler context, and a page for commands and data.
class Sdma : public Copier {
 public:
  explicit Sdma(Device& device);
  ~Sdma() override;
  Sdma(const Sdma&) = delete;
  Sdma& operator=(const Sdma&) = delete;

  // `buffers`: GEM handles of everything that the job touches. Failure: EFAULT, EPERM: hmm_range_fault refused a
  // UserPage; ENODEV: the device is gone; ECANCELED: a reset lost the job; ETIME: the engine hangs.
  void copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes, std::span<const std::uint32_t> buffers) override;

  std::uint64_t& word() override { return *reinterpret_cast<std::uint64_t*>(static_cast<std::byte*>(page_.cpu()) + word_offset); }
  std::uint64_t word_address() const override { return page_.address() + word_offset; }

  // amdgpu_cs_query_reset_state2(), since the context was made.
  std::string resets() const override;

 private:
  static constexpr std::size_t word_offset = 2048;

  Device& device_;
  Buffer page_;
  amdgpu_context_handle context_ = nullptr;
};

}  // namespace faultline::amdgpu
