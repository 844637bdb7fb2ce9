// mm/rmap.c, mm/migrate.c: migration entries, which stand for a page while it moves (try_to_migrate, remove_migration_ptes).
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// Replaces every entry of `page` by a migration entry / restores them to `to` (rmap walks). migrate_vma
// has collected the entry of `own` without a word to its driver. For the others try_to_migrate_one sends
// CLEAR to each VMA that the rmap walk visits, before it looks for an entry there: to that of `own` too
// (`tells_own`), if it comes before the last one that maps the page. The order in the rmap tree decides,
// so that the caller chooses where the page is mapped elsewhere.
// A page of the page cache was collected `at` one place, and may be mapped at others of `own`.
void unmap_for_migration(Cpu cpu, MmId own, FrameId page, bool tells_own, Slot at = -1);
bool mapped_elsewhere(const World& world, FrameId page);
// A mirror of another mm holds its mutex to copy the page of the device: CLEAR waits for it.
bool copied_elsewhere(const World& world, FrameId page, MmId own);
void remove_migration_entries(Cpu cpu, FrameId page, FrameId to);

}  // namespace faultline::ref
