// mm/filemap.c, mm/shmem.c, mm/truncate.c: pages of objects (files, and what is behind shared anonymous
// memory), who maps them and who takes them away.
//
// Writeback is only what msync() asks for; it changes no value, and no mapping of memory without a disk.
#pragma once

#include "kernels_ref/mm/fault.h"
#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

// do_read_fault, do_shared_fault, do_cow_fault, for an empty entry of a mapping with an object.
Task<Fault> fault_object(Cpu cpu, MmId mm, Slot slot, bool write);

// Whether a read fault comes upon a page of the file: the one that it is for, or one around it (do_fault_around).
bool reaches_around(const Shape& shape, const World& world, MmId mm, Slot slot);

// Whether the page cache has one huge page there, and its mapping by a PMD (do_set_pmd).
bool caches_huge(const World& world, MmId mm, HugePage huge);
void map_huge_page(Cpu cpu, MmId mm, HugePage huge, bool writable);

// try_to_unmap, from wherever the page is mapped.
void unmap_everywhere(Cpu cpu, FrameId page);

// i_mmap_lock_write, for whoever adds a mapping: taken and given back.
Task<void> lock_i_mmap(Cpu cpu, int object);

Task<Result> sys_truncate(Cpu cpu, int object, int pages);        // do_truncate
Task<void> punch_hole(Cpu cpu, int object, int first, int last);  // vfs_fallocate(FALLOC_FL_PUNCH_HOLE)
Task<Result> sys_msync(Cpu cpu, Slot from, Slot to);              // MS_SYNC

}  // namespace faultline::ref
