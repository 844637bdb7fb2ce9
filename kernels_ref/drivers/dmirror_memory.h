// lib/test_hmm.c: the device's own memory. A request moves pages there. Another request, a fault of the CPU, or the close
// of the device moves them back.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// dmirror_migrate_to_device, dmirror_migrate_to_system.
Task<Result> dmirror_migrate(Cpu cpu, MirrorId opener, Slot from, Slot to, bool to_device);

// The caller holds mmap_lock of `mm` for read. Returns when the page moved or another thread is moving it.
Task<Fault> dmirror_devmem_fault(Cpu cpu, MmId mm, Slot slot, FrameId page);

// Moves every page of the device back, whoever migrated it.
Task<void> dmirror_device_remove_chunks(Cpu cpu, int device);

}  // namespace faultline::ref
