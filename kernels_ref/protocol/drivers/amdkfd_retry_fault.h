// A retry fault that is handled late: its page was mapped before, and is being unmapped.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// amdkfd: svm_range_restore_pages of a second fault on a page that is mapped already, against munmap.
Protocol retry_fault();

}  // namespace faultline::ref::protocol
