// mm/migrate_device.c: the migrate_vma steps that all migrating drivers share, and the new pages that they allocate.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// migrate_vma_setup. Returns 1 if the rmap walk sends CLEAR to `mm` itself for a page that is mapped elsewhere too, 0 if not.
// Both are possible: it depends on the order of the walk.
Task<int> migrate_vma_setup_ways(Cpu cpu, MmId mm, Slot from, Slot to);

// Allocates the device's page for `source`, or for zero_page if no page was there. The migration holds a reference to it, and
// its lock (zone_device_page_init()): a page that was inserted may be faulted on at once, but moves only after the migration.
FrameId device_page_for(Cpu cpu, MirrorId owner, FrameId source, Slot slot);

// The last of migrate_vma_finalize, for a device page: unlocks it and drops the migration's reference.
void release_device_page(World& world, FrameId page);

// Allocates pages of system memory for the device pages that `mm` has from `from` on. The migration holds references to them.
FramesOfRange system_pages_for(Cpu cpu, const FramesOfRange& device, MmId mm, Slot from);

// migrate_vma_insert_page: maps a device page where no page was. False: something has been mapped there meanwhile.
bool migrate_vma_insert_page(Cpu cpu, MmId mm, Slot slot, FrameId page, bool writable);

// migrate_vma_finalize for one page that was collected. `fresh` replaces it, or is `old` if it did not migrate.
void migrate_vma_finalize(Cpu cpu, FrameId old, FrameId fresh);

}  // namespace faultline::ref
