// mm/rmap.c, mm/migrate.c: migration entries, which stand for a page while it moves (try_to_migrate, remove_migration_ptes).
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

// Replaces every entry of `page` by a migration entry (rmap walk). migrate_vma has collected the entry of `own`
// without notifying its driver. For the other entries try_to_migrate_one sends CLEAR to each VMA that the rmap
// walk visits, before it looks for an entry there. If the walk visits the VMA of `own` before the last VMA that
// maps the page, `own` gets CLEAR too (`tells_own`). That depends on the order in the rmap tree, so the caller
// chooses it for a page that is mapped elsewhere.
// A page of the page cache was collected `at` one place, and `own` may map it at others too.
void unmap_for_migration(Cpu cpu, MmId own, FrameId page, bool tells_own, Slot at = -1);
bool mapped_elsewhere(const World& world, FrameId page);
// Whether a mirror of another mm holds its mutex to copy the device's page. CLEAR has to wait for that mutex.
bool copied_elsewhere(const World& world, FrameId page, MmId own);
// Turns the migration entries of `page` into entries of `to` (rmap walk).
void remove_migration_entries(Cpu cpu, FrameId page, FrameId to);

}  // namespace faultline::ref
