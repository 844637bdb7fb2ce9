// lib/test_hmm.c: the requests that a thread makes through the descriptor that process `opener` opened.
#pragma once

#include "kernels_ref/mm/hmm.h"
#include "kernels_ref/mm/migrate_device.h"

namespace faultline::ref {

Task<Result> dmirror_read(Cpu cpu, MirrorId opener, Slot slot);
Task<Result> dmirror_write(Cpu cpu, MirrorId opener, Slot slot, int value);
Task<Result> dmirror_migrate_to_device(Cpu cpu, MirrorId opener, Slot from, Slot to);
Task<Result> dmirror_migrate_to_system(Cpu cpu, MirrorId opener, Slot from, Slot to);
// dmirror_devmem_fault_alloc_and_copy, migrate_vma_pages and migrate_vma_finalize: pages of the device that were collected
// go back to system memory; `mm` has them from `from` on. Each is locked, and has `own` references of whoever migrates.
Task<void> dmirror_migrate_back(Cpu cpu, MmId mm, Slot from, MigratePages pages, int own);
Task<Result> dmirror_snapshot(Cpu cpu, MirrorId opener, Slot from, Slot to);

}  // namespace faultline::ref
