// Shared virtual memory of nouveau (drivers/gpu/drm/nouveau/nouveau_svm.c), through libdrm.
//
// The kernel mirrors the mm of the process that calls init_svm() on an open render node. Only OpenCL gives the GPU work,
// never this file. Requests return an errno, or 0 for success. libdrm repeats interrupted requests.
#pragma once

#include <cstddef>
#include <cstdint>

namespace faultline::nouveau {

// DRM_NOUVEAU_SVM_INIT: from now on the client's channels see the mm, except the `unmanaged_bytes` at
// `unmanaged_address`: these addresses stay the driver's own. ENOSYS: the kernel has no SVM for this chip
// (CONFIG_DRM_NOUVEAU_SVM is off, or the chip is older than Pascal or newer than nouveau allows). EBUSY: done before.
int init_svm(int render_node, std::uintptr_t unmanaged_address, std::size_t unmanaged_bytes);

// DRM_NOUVEAU_SVM_BIND with its only command: migrates pages to VRAM. Best effort: the kernel does not report pages that
// stay where they are. EINVAL: before init_svm(), or no page at all.
int migrate_to_vram(int render_node, std::uintptr_t address, std::size_t bytes);

}  // namespace faultline::nouveau
