// drivers/gpu/drm/amd/amdkfd/kfd_migrate.c: pages of a range to the GPU's memory and back.
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"
#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// The caller holds mmap_lock of `id`'s process for read, and svms->lock.
Task<void> svm_migrate_ram_to_vram(Cpu cpu, MirrorId id, Slot from, Slot to);

// The pages of range [from, to] of mirror `id` that `mm` has in the GPU's memory. False: -EFAULT, where nothing is
// mapped in `mm`.
Task<bool> svm_migrate_vram_to_ram(Cpu cpu, MirrorId id, MmId mm, Slot from, Slot to);

// svm_migrate_to_ram, the driver's handler of a fault of the CPU: the whole range comes back. A page that other threads
// fault on as well is held by them too, and comes with a later go: what the driver tells more then is weather.
Task<Fault> svm_migrate_to_ram(Cpu cpu, MmId mm, Slot slot, FrameId page);

}  // namespace faultline::ref
