// A blocking transfer of one page with O_DIRECT (fs/iomap/direct-io.c, block/bio.c): the device goes through a page
// that the kernel has taken, whatever is mapped at its address by the time the data come.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// read(2): the device writes `value` into memory. ok or EFAULT.
Task<Result> direct_read(Cpu cpu, Slot slot, int value);

// write(2): the device reads memory. Contents or EFAULT.
Task<Result> direct_write(Cpu cpu, Slot slot);

}  // namespace faultline::ref
