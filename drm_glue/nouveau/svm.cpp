#include "drm_glue/nouveau/svm.h"

#include <xf86drm.h>
// The header has a member named `class`.
#define class class_
#include <nouveau_drm.h>
#undef class

#include "harness/driver_call.h"

namespace faultline::nouveau {

// The ABI since v5.1 (eeaf06ac1a5584, "drm/nouveau/svm: initial support for shared virtual memory").
static_assert(sizeof(drm_nouveau_svm_init) == 16 && offsetof(drm_nouveau_svm_init, unmanaged_size) == 8);
static_assert(sizeof(drm_nouveau_svm_bind) == 64 && offsetof(drm_nouveau_svm_bind, va_start) == 8 &&
              offsetof(drm_nouveau_svm_bind, va_end) == 16 && offsetof(drm_nouveau_svm_bind, npages) == 24 &&
              offsetof(drm_nouveau_svm_bind, stride) == 32 && offsetof(drm_nouveau_svm_bind, reserved0) == 48);
static_assert(DRM_NOUVEAU_SVM_INIT == 0x08 && DRM_NOUVEAU_SVM_BIND == 0x09);

int init_svm(int render_node, std::uintptr_t unmanaged_address, std::size_t unmanaged_bytes) {
  drm_nouveau_svm_init args{.unmanaged_addr = unmanaged_address, .unmanaged_size = unmanaged_bytes};
  return -in_driver("DRM_NOUVEAU_SVM_INIT",
                    [&] { return drmCommandWriteRead(render_node, DRM_NOUVEAU_SVM_INIT, &args, sizeof args); });
}

int migrate_to_vram(int render_node, std::uintptr_t address, std::size_t bytes) {
  constexpr std::uint64_t page = 4096;
  drm_nouveau_svm_bind args{};
  args.header = std::uint64_t{NOUVEAU_SVM_BIND_COMMAND__MIGRATE} << NOUVEAU_SVM_BIND_COMMAND_SHIFT |
                std::uint64_t{NOUVEAU_SVM_BIND_TARGET__GPU_VRAM} << NOUVEAU_SVM_BIND_TARGET_SHIFT;
  args.va_start = address;
  args.va_end = address + bytes;
  args.npages = (bytes + page - 1) / page;
  return -in_driver("DRM_NOUVEAU_SVM_BIND",
                    [&] { return drmCommandWriteRead(render_node, DRM_NOUVEAU_SVM_BIND, &args, sizeof args); });
}

}  // namespace faultline::nouveau
