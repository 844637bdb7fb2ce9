// lib/test_hmm.c: the requests that a thread makes through the descriptor that process `opener` opened.
#pragma once

#include "kernels_ref/hmm.h"

namespace faultline::ref {

Task<Result> dmirror_read(Cpu cpu, MirrorId opener, Slot slot);
Task<Result> dmirror_write(Cpu cpu, MirrorId opener, Slot slot, int value);
Task<Result> dmirror_migrate_to_device(Cpu cpu, MirrorId opener, Slot from, Slot to);
Task<Result> dmirror_migrate_to_system(Cpu cpu, MirrorId opener, Slot from, Slot to);
Task<Result> dmirror_snapshot(Cpu cpu, MirrorId opener, Slot from, Slot to);

}  // namespace faultline::ref
