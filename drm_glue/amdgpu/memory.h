// Memory for the GPU: buffer objects (BOs) in GTT or VRAM, and pages of the process (userptr). Each is mapped into the
// client's own GPU page tables (amdgpu_gem.c, amdgpu_vm.c).
#pragma once

#include <amdgpu_drm.h>

#include <cstddef>
#include <cstdint>

#include "drm_glue/amdgpu/device.h"

namespace faultline::amdgpu {

inline constexpr std::size_t page_bytes = 4096;

static_assert(sizeof(drm_amdgpu_gem_userptr) == 24 && offsetof(drm_amdgpu_gem_userptr, flags) == 16 &&
              offsetof(drm_amdgpu_gem_userptr, handle) == 20);
static_assert(sizeof(drm_amdgpu_gem_va) == 40 && offsetof(drm_amdgpu_gem_va, va_address) == 16 &&
              offsetof(drm_amdgpu_gem_va, map_size) == 32);
static_assert(sizeof(drm_amdgpu_gem_create) == 32 && sizeof(drm_amdgpu_gem_mmap) == 8);

// A range of GPU addresses.
class VaRange {
 public:
  VaRange(Device& device, std::size_t bytes);
  ~VaRange();
  VaRange(const VaRange&) = delete;
  VaRange& operator=(const VaRange&) = delete;
  std::uint64_t address() const { return address_; }

 private:
  amdgpu_va_handle handle_ = nullptr;
  std::uint64_t address_ = 0;
};

// One page, in GTT (CPU and GPU reach it) or in VRAM (GPU only). Failure: ENOMEM and other errors of GEM_CREATE, GEM_VA
// and mmap().
class Buffer {
 public:
  enum class Where { gtt, vram };
  Buffer(Device& device, Where where);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::uint32_t handle() const { return handle_; }  // GEM handle
  std::uint64_t address() const { return range_.address(); }
  void* cpu() const { return cpu_; }  // null in VRAM: the CPU has no access there

 private:
  void release();

  VaRange range_;
  amdgpu_bo_handle bo_ = nullptr;
  std::uint32_t handle_ = 0;
  bool mapped_ = false;
  void* cpu_ = nullptr;
};

// An address of the process. The kernel looks its page up anew for each job (amdgpu_ttm_tt_get_user_pages:
// hmm_range_fault). The interval notifier waits for the job. An invalidation between lookup and job starts the job over.
// The constructor does not look at the page, so none need be mapped yet. When hmm_range_fault refuses a page, the job
// fails with the same error: EFAULT, EPERM.
class UserPage {
 public:
  enum class Access { read, write };
  UserPage(Device& device, std::uintptr_t address, Access access);
  ~UserPage();
  UserPage(const UserPage&) = delete;
  UserPage& operator=(const UserPage&) = delete;

  std::uint32_t handle() const { return handle_; }
  std::uint64_t address() const { return range_.address(); }  // the GPU's, not the process's

 private:
  int change(std::uint32_t operation, std::uint32_t flags);
  void close_handle();

  Device& device_;
  VaRange range_;
  std::uint32_t handle_ = 0;
};

}  // namespace faultline::amdgpu
