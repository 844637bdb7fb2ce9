// lib/test_hmm.c: a device that mirrors page tables with recoverable faults, as Documentation/mm/hmm.rst asks of a driver.
// A request goes through the file that process `opener` opened.
#pragma once

#include "kernels_ref/mm/fault.h"

namespace faultline::ref {

Task<void> dmirror_release(Cpu cpu, MirrorId opener);  // dmirror_fops_release

Task<Result> dmirror_read(Cpu cpu, MirrorId opener, Slot slot);
Task<Result> dmirror_write(Cpu cpu, MirrorId opener, Slot slot, int value);
Task<Result> dmirror_snapshot(Cpu cpu, MirrorId opener, Slot from, Slot to);

// dmirror_exclusive, or dmirror_check_atomic (dmirror_exclusive.cpp).
Task<Result> dmirror_exclusive(Cpu cpu, MirrorId opener, Slot from, Slot to, bool check);

void dmirror_interval_invalidate(Cpu cpu, MirrorId id, Slot from, Slot to);

}  // namespace faultline::ref
