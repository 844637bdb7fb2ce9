// mm/mmap.c, mm/mprotect.c, mm/mremap.c, mm/madvise.c: the system calls that change mappings.
// Each returns the result of the system call for the pages [from, to] of the calling process.
#pragma once

#include "kernels_ref/fault.h"

namespace faultline::ref {

Task<Result> sys_mmap(Cpu cpu, Slot from, Slot to, Backing backing, Protection protection);  // MAP_FIXED
Task<Result> sys_munmap(Cpu cpu, Slot from, Slot to);
Task<Result> sys_mprotect(Cpu cpu, Slot from, Slot to, Protection protection);
Task<Result> sys_mremap(Cpu cpu, Slot from, Slot to, Slot target);  // MREMAP_FIXED, same length
Task<Result> sys_madvise(Cpu cpu, Slot from, Slot to, op::Advice advice);

// Maps pages without the system call's locks: for the state in which a scenario starts.
void map_pages(Cpu cpu, MmId mm, Slot from, Slot to, Backing backing, Protection protection);

}  // namespace faultline::ref
