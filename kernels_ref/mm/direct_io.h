// A blocking transfer of one page with O_DIRECT (fs/iomap/direct-io.c, block/bio.c). The kernel takes the page first, and
// the device uses that page. By the time the data come, another page may be mapped at the address.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

// read(2): the device writes `value` into memory. ok or EFAULT.
Task<Result> direct_read(Cpu cpu, Slot slot, int value);

// write(2): the device reads memory. Contents or EFAULT.
Task<Result> direct_write(Cpu cpu, Slot slot);

}  // namespace faultline::ref
