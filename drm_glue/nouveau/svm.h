// Shared virtual memory of nouveau (drivers/gpu/drm/nouveau/nouveau_svm.c) by libdrm.
//
// An open render node; the kernel mirrors the mm of the process that calls init(). Work reaches the GPU through
// OpenCL, never from here. Requests give an errno, 0 for success; libdrm makes those that were interrupted again.
#pragma once

#include <cstddef>
#include <cstdint>

namespace faultline::nouveau {

// DRM_NOUVEAU_SVM_INIT: from now on the client's channels see the mm, but for `unmanaged_bytes` from
// `unmanaged_address` on, which stay the driver's own. ENOSYS: the kernel has no SVM for this chip
// (CONFIG_DRM_NOUVEAU_SVM off, the chip older than Pascal or newer than what is switched on); EBUSY: done before.
int init_svm(int render_node, std::uintptr_t unmanaged_address, std::size_t unmanaged_bytes);

// DRM_NOUVEAU_SVM_BIND, the one command that there is: migrates pages to the GPU's memory. Best effort: the kernel
// says nothing of pages that stay where they are. EINVAL: before init_svm(), or no page at all.
int migrate_to_vram(int render_node, std::uintptr_t address, std::size_t bytes);

}  // namespace faultline::nouveau
