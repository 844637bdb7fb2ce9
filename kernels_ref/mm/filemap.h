// mm/filemap.c, mm/shmem.c, mm/truncate.c: how pages of objects are mapped and taken away. An object is a
// file, or the tmpfs object behind shared anonymous memory.
//
// Writeback happens only when msync() asks for it. It changes no value, and no mapping of memory without a disk.
#pragma once

#include "kernels_ref/mm/fault.h"
#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

// do_read_fault, do_shared_fault, do_cow_fault, for an empty entry of a mapping with an object.
Task<Fault> fault_object(Cpu cpu, MmId mm, Slot slot, bool write);

// Whether a read fault finds a page before the end of the file: its own page, or one around it (do_fault_around).
bool reaches_around(const Shape& shape, const World& world, MmId mm, Slot slot);

// Whether the page cache holds one huge page there.
bool caches_huge(const World& world, MmId mm, HugePage huge);
// do_set_pmd: maps that huge page by a PMD.
void map_huge_page(Cpu cpu, MmId mm, HugePage huge, bool writable);

// try_to_unmap: removes every mapping of the page.
void unmap_everywhere(Cpu cpu, FrameId page);

// Waits until a caller that adds a mapping can take i_mmap_lock_write. The caller takes and drops it in one step.
Task<void> lock_i_mmap(Cpu cpu, int object);

Task<Result> sys_truncate(Cpu cpu, int object, int pages);        // do_truncate
Task<void> punch_hole(Cpu cpu, int object, int first, int last);  // vfs_fallocate(FALLOC_FL_PUNCH_HOLE)
Task<Result> sys_msync(Cpu cpu, Slot from, Slot to);              // MS_SYNC

}  // namespace faultline::ref
