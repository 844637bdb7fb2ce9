// kernel/fork.c, kernel/exit.c, kernel/signal.c: processes come and go.
#pragma once

#include "kernels_ref/mm/mmap.h"

namespace faultline::ref {

Task<Result> sys_fork(Cpu cpu, int child);
Task<Result> sys_kill(Cpu cpu, int process);  // SIGKILL
Task<Result> sys_wait(Cpu cpu, int child);

// do_exit of one thread; the last one of its process takes the mm and the files down.
Task<void> do_exit(Cpu cpu);

// mmput: the last user takes the address space down (exit_mmap), whichever thread that is.
Task<void> mmput(Cpu cpu, MmId mm);

// Whether this thread's process has the descriptor.
bool holds_file(Cpu cpu, MirrorId opener);

// fdget: a request keeps the file open even when another thread closes the descriptor. False: not open.
bool get_file(Cpu cpu, MirrorId opener);

// fput: the last one calls the driver's release.
Task<void> put_file(Cpu cpu, MirrorId opener);

}  // namespace faultline::ref
