// drivers/gpu/drm/amd/amdkfd/kfd_migrate.c: moves pages of a range to the GPU's memory and back.
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"
#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// The caller holds mmap_lock of `id`'s process for read, and svms->lock.
Task<void> svm_migrate_ram_to_vram(Cpu cpu, MirrorId id, Slot from, Slot to);

// Moves back the pages of range [from, to] of mirror `id` that `mm` has in the GPU's memory. False: -EFAULT, because part
// of the range is not mapped in `mm`.
Task<bool> svm_migrate_vram_to_ram(Cpu cpu, MirrorId id, MmId mm, Slot from, Slot to);

// svm_migrate_to_ram, the driver's handler for a fault of the CPU: moves the whole range back. If other threads fault on a
// page too, they hold it, and it moves only with a later attempt. Events that the driver reports beyond that are weather.
Task<Fault> svm_migrate_to_ram(Cpu cpu, MmId mm, Slot slot, FrameId page);

}  // namespace faultline::ref
