// mm/hmm.c: hmm_range_fault for one page among other threads, with or without the fault; what each entry comes
// to is in hmm_walk.h.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// What hmm_range_fault says of a page. `error`: 0, or EBUSY, EFAULT, EPERM (then the rest means nothing).
struct HmmPage {
  int error = 0;
  std::uint8_t frame = none;  // none with error 0: the zero page
  bool writable = false;
  bool own_private = false;  // a page in the memory of the device that asks
};

// The caller holds mmap_lock for read and is between read_begin and read_retry. `device` owns what it has in
// its memory (dev_private_owner).
Task<HmmPage> hmm_range_fault(Cpu cpu, MmId mm, Slot slot, bool write, int device);

// hmm_range_fault without a fault: the page's letter in snapshot_alphabet, as an index.
int hmm_snapshot(Cpu cpu, MmId mm, Slot slot, int device);

}  // namespace faultline::ref
