// mm/migrate_device.c: what every driver that migrates pages does with migrate_vma, and the pages that it makes.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// migrate_vma_setup: 1 where the driver of `mm` hears of pages that are mapped elsewhere too: whether the rmap walk sends
// CLEAR to this mm depends on its order.
Task<int> migrate_vma_setup_ways(Cpu cpu, MmId mm, Slot from, Slot to);

// The driver's page for `source`, which is zero_page where there was none, with a reference of the migration.
FrameId device_page_for(Cpu cpu, MirrorId owner, FrameId source, Slot slot);

// Pages of system memory for those of the device, which `mm` has from `from` on, likewise.
FramesOfRange system_pages_for(Cpu cpu, const FramesOfRange& device, MmId mm, Slot from);

// migrate_vma_insert_page: a page of the device where nothing was. Whether there still is nothing.
bool migrate_vma_insert_page(Cpu cpu, MmId mm, Slot slot, FrameId page, bool writable);

// migrate_vma_finalize for one page that was collected: it is `fresh` now, or itself again.
void migrate_vma_finalize(Cpu cpu, FrameId old, FrameId fresh);

}  // namespace faultline::ref
