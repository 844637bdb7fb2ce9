#include "drm_glue/amdgpu/sdma.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace faultline::amdgpu {
namespace {

constexpr std::uint32_t words_per_block = 16;          // engines fetch this many at once; a word of 0 is a NOP
constexpr std::uint64_t patience_ns = 10'000'000'000;  // the kernel resets a ring that hangs this long (lockup_timeout)

// The kernel's list of the BOs of one job.
class BufferList {
 public:
  BufferList(Device& device, std::span<const std::uint32_t> buffers) : device_(device) {
    std::vector<drm_amdgpu_bo_list_entry> entries;
    for (const std::uint32_t buffer : buffers) entries.push_back({.bo_handle = buffer, .bo_priority = 0});
    check("amdgpu_bo_list_create_raw", [&] {
      return amdgpu_bo_list_create_raw(device.handle(), static_cast<std::uint32_t>(entries.size()), entries.data(), &handle_);
    });
  }
  ~BufferList() {
    in_driver("amdgpu_bo_list_destroy_raw", [&] { amdgpu_bo_list_destroy_raw(device_.handle(), handle_); });
  }
  BufferList(const BufferList&) = delete;
  BufferList& operator=(const BufferList&) = delete;
  std::uint32_t handle() const { return handle_; }

 private:
  Device& device_;
  std::uint32_t handle_ = 0;
};

}  // namespace

Sdma::Sdma(Device& device) : device_(device), page_(device, Buffer::Where::gtt) {
  check("amdgpu_cs_ctx_create", [&] { return amdgpu_cs_ctx_create(device.handle(), &context_); });
}

Sdma::~Sdma() {
  in_driver("amdgpu_cs_ctx_free", [&] { amdgpu_cs_ctx_free(context_); });
}

void Sdma::copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes, std::span<const std::uint32_t> buffers) {
  const std::array<std::uint32_t, 7> packet = copy_linear(device_.family(), to, from, bytes);
  std::uint32_t commands[words_per_block] = {};
  std::ranges::copy(packet, commands);
  std::memcpy(page_.cpu(), commands, sizeof commands);

  std::vector<std::uint32_t> all(buffers.begin(), buffers.end());
  all.push_back(page_.handle());
  const BufferList list(device_, all);
  drm_amdgpu_cs_chunk_ib ib{};
  ib.va_start = page_.address();
  ib.ib_bytes = sizeof commands;
  ib.ip_type = AMDGPU_HW_IP_DMA;
  drm_amdgpu_cs_chunk chunk{
      .chunk_id = AMDGPU_CHUNK_ID_IB, .length_dw = sizeof ib / 4, .chunk_data = reinterpret_cast<std::uintptr_t>(&ib)};
  amdgpu_cs_fence fence{.context = context_, .ip_type = AMDGPU_HW_IP_DMA, .ip_instance = 0, .ring = 0, .fence = 0};
  check("amdgpu_cs_submit_raw2",
        [&] { return amdgpu_cs_submit_raw2(device_.handle(), context_, list.handle(), 1, &chunk, &fence.fence); });
  std::uint32_t done = 0;
  check("amdgpu_cs_query_fence_status", [&] { return amdgpu_cs_query_fence_status(&fence, patience_ns, 0, &done); });
  if (!done) throw Failure("the SDMA engine does not finish a copy", ETIME);
}

std::string Sdma::resets() const {
  std::uint64_t flags = 0;
  const int error = in_driver("amdgpu_cs_query_reset_state2", [&] { return amdgpu_cs_query_reset_state2(context_, &flags); });
  if (error != 0) return Failure("amdgpu_cs_query_reset_state2", -error).what();
  std::string words;
  const auto add = [&](std::uint64_t flag, const char* word) {
    if (flags & flag) words += (words.empty() ? "" : ", ") + std::string(word);
  };
  add(AMDGPU_CTX_QUERY2_FLAGS_RESET, "reset");
  add(AMDGPU_CTX_QUERY2_FLAGS_GUILTY, "by a job of this context");
  add(AMDGPU_CTX_QUERY2_FLAGS_VRAMLOST, "VRAM lost");
  add(AMDGPU_CTX_QUERY2_FLAGS_RAS_UE, "uncorrectable memory error");
  return words;
}

}  // namespace faultline::amdgpu
