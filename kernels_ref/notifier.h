// mm/mmu_notifier.c: interval notifiers, with test_hmm's callback. One subscription over the whole mm
// for each open file that mirrors it (dmirror_fops_open); here the mirror has the mm's index.
//
// Sequence numbers are kept as what they decide. A subscription is "stamped" when its invalidate_seq is
// the mm's current, odd one: read_begin must wait. A reader "collided" when its subscription was stamped
// after its read_begin: read_retry says so. Stamps only ever move to a number that no reader holds, so
// nothing else about the numbers matters.
#pragma once

#include "kernels_ref/mm.h"

namespace faultline::ref {

enum class Event { unmap, clear, protection_vma, protection_page, exclusive };

// mmu_notifier_invalidate_range_start: raises the active count and runs the callbacks. Nothing, and no
// step, without subscriptions (mm_has_notifiers). MIGRATE events of the own device are not sent here:
// test_hmm's callback ignores them without a stamp.
Task<void> invalidate_start(Cpu cpu, MmId mm, Slot from, Slot to, Event event);
Task<void> invalidate_end(Cpu cpu, MmId mm);

// The callback at once, for steps that are modelled whole (another mm's entries during a migration).
void invalidate_now(Cpu cpu, MmId mm, Slot slot);

// mmu_interval_read_begin may go on; then begin_read.
bool can_begin_read(Cpu cpu, MmId mm);
void begin_read(Cpu cpu, MmId mm);
void end_read(Cpu cpu);

// mn_itree_release, from exit_mmap.
Task<void> release_notifiers(Cpu cpu, MmId mm);

// mmu_interval_notifier_insert and _remove. Insert takes mmap_lock the first time (mmu_notifier_register).
Task<void> insert_notifier(Cpu cpu, MmId mm);
Task<void> remove_notifier(Cpu cpu, MmId mm);

}  // namespace faultline::ref
