#include "drm_glue/amdgpu/memory.h"

#include <errno.h>
#include <xf86drm.h>

namespace faultline::amdgpu {

VaRange::VaRange(Device& device, std::size_t bytes) {
  check("amdgpu_va_range_alloc", [&] {
    return amdgpu_va_range_alloc(device.handle(), amdgpu_gpu_va_range_general, bytes, page_bytes, 0, &address_, &handle_, 0);
  });
}

VaRange::~VaRange() {
  in_driver("amdgpu_va_range_free", [&] { amdgpu_va_range_free(handle_); });
}

Buffer::Buffer(Device& device, Where where) : range_(device, page_bytes) {
  amdgpu_bo_alloc_request request{
      .alloc_size = page_bytes, .phys_alignment = page_bytes, .preferred_heap = AMDGPU_GEM_DOMAIN_GTT, .flags = 0};
  if (where == Where::vram) {
    request.preferred_heap = AMDGPU_GEM_DOMAIN_VRAM;
    request.flags = AMDGPU_GEM_CREATE_NO_CPU_ACCESS;
  }
  check("amdgpu_bo_alloc", [&] { return amdgpu_bo_alloc(device.handle(), &request, &bo_); });
  try {
    check("amdgpu_bo_export", [&] { return amdgpu_bo_export(bo_, amdgpu_bo_handle_type_kms, &handle_); });
    check("amdgpu_bo_va_op", [&] { return amdgpu_bo_va_op(bo_, 0, page_bytes, address(), 0, AMDGPU_VA_OP_MAP); });
    mapped_ = true;
    if (where == Where::gtt) check("amdgpu_bo_cpu_map", [&] { return amdgpu_bo_cpu_map(bo_, &cpu_); });
  } catch (...) {
    release();
    throw;
  }
}

Buffer::~Buffer() { release(); }

void Buffer::release() {
  if (cpu_) in_driver("amdgpu_bo_cpu_unmap", [&] { amdgpu_bo_cpu_unmap(bo_); });
  if (mapped_) in_driver("amdgpu_bo_va_op", [&] { amdgpu_bo_va_op(bo_, 0, page_bytes, address(), 0, AMDGPU_VA_OP_UNMAP); });
  in_driver("amdgpu_bo_free", [&] { amdgpu_bo_free(bo_); });
}

// Not amdgpu_create_bo_from_user_mem(): it cannot make a read-only BO, nor a BO of a file's pages.
UserPage::UserPage(Device& device, std::uintptr_t address, Access access) : device_(device), range_(device, page_bytes) {
  const bool reads = access == Access::read;
  drm_amdgpu_gem_userptr args{};
  args.addr = address;
  args.size = page_bytes;
  args.flags = AMDGPU_GEM_USERPTR_REGISTER | (reads ? AMDGPU_GEM_USERPTR_READONLY : 0u);
  check("DRM_IOCTL_AMDGPU_GEM_USERPTR",
        [&] { return drmCommandWriteRead(device.fd(), DRM_AMDGPU_GEM_USERPTR, &args, sizeof args); });
  handle_ = args.handle;
  const std::uint32_t flags = AMDGPU_VM_PAGE_READABLE | (reads ? 0u : AMDGPU_VM_PAGE_WRITEABLE);
  if (const int error = change(AMDGPU_VA_OP_MAP, flags)) {
    close_handle();
    check("DRM_IOCTL_AMDGPU_GEM_VA", error);
  }
}

UserPage::~UserPage() {
  change(AMDGPU_VA_OP_UNMAP, 0);
  close_handle();
}

void UserPage::close_handle() {
  in_driver("drmCloseBufferHandle", [&] { drmCloseBufferHandle(device_.fd(), handle_); });
}

int UserPage::change(std::uint32_t operation, std::uint32_t flags) {
  drm_amdgpu_gem_va args{};
  args.handle = handle_;
  args.operation = operation;
  args.flags = flags;
  args.va_address = address();
  args.map_size = page_bytes;
  return in_driver("DRM_IOCTL_AMDGPU_GEM_VA",
                   [&] { return drmCommandWrite(device_.fd(), DRM_AMDGPU_GEM_VA, &args, sizeof args); });
}

}  // namespace faultline::amdgpu
