// mm/mmu_notifier.c: interval notifiers. Each open file that mirrors an mm has one subscription over the whole mm, as
// dmirror_fops_open makes it. A driver may have more subscriptions for its own ranges (DriverOps::invalidate_ranges).
//
// The model keeps no sequence numbers, only what they decide. A subscription is "stamped" when its
// invalidate_seq is the mm's current, odd one: read_begin must wait. A reader "collided" when its
// subscription was stamped after its read_begin: read_retry says so. Stamps only ever move to a number
// that no reader holds, so nothing else about the numbers matters.
#pragma once

#include "kernels_ref/mm/pages.h"

namespace faultline::ref {

// enum mmu_notifier_event.
enum class Notify : std::uint8_t { unmap, clear, protection_vma, protection_page, exclusive, migrate };

// mmu_notifier_invalidate_range_start: raises the active count and runs the callbacks. Does nothing, and
// takes no step, if the mm never had a subscription (mm_has_notifiers). A MIGRATE event has an owner, the
// device that migrates. The owner's callback ignores the event and does not stamp, as
// dmirror_interval_invalidate does.
Task<void> invalidate_start(Cpu cpu, MmId mm, Slot from, Slot to, Notify event, int owner = -1);
Task<void> invalidate_end(Cpu cpu, MmId mm);

// Whether any device other than `device` would get the event of its migration. If none would, no event is sent.
bool others_listen(const World& world, MmId mm, int device);

// Runs the callbacks at once, for work that is modelled as one step (another mm's entries during a migration).
void invalidate_now(Cpu cpu, MmId mm, Slot from, Slot to);

// Whether mmu_interval_read_begin need not wait. The caller then calls begin_read.
bool can_begin_read(Cpu cpu, MirrorId mirror);
void begin_read(Cpu cpu, MirrorId mirror, Slot slot);
void end_read(Cpu cpu);

// mn_itree_release, from exit_mmap.
Task<void> release_notifiers(Cpu cpu, MmId mm);

// mmu_interval_notifier_insert and _remove. Insert takes mmap_lock the first time (mmu_notifier_register).
Task<void> insert_notifier(Cpu cpu, MirrorId mirror);
Task<void> remove_notifier(Cpu cpu, MirrorId mirror);

}  // namespace faultline::ref
