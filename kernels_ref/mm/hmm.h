// mm/hmm.c: hmm_range_fault for one page, interleaved with other threads, with or without the fault. hmm_walk.h
// decides what each kind of entry leads to.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// The result of hmm_range_fault for a page. `error`: 0, EBUSY, EFAULT or EPERM. With an error the rest means nothing.
struct HmmPage {
  int error = 0;
  std::uint8_t frame = none;  // none with error 0: the zero page
  bool writable = false;
  bool own_private = false;  // a page in the memory of `device`
};

// The caller holds mmap_lock for read and is between read_begin and read_retry. `device` is the
// dev_private_owner; -1: there is none.
Task<HmmPage> hmm_range_fault(Cpu cpu, MmId mm, Slot slot, bool write, int device);

// hmm_range_fault without a fault: the page's letter in snapshot_alphabet, as an index.
int hmm_snapshot(Cpu cpu, MmId mm, Slot slot, int device);

}  // namespace faultline::ref
