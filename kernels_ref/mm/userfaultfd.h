// fs/userfaultfd.c, mm/userfaultfd.c: faults of private anonymous memory that user space resolves. Each process has one
// userfaultfd without features. A thread that waits holds no lock, so everything else may happen meanwhile.
#pragma once

#include "kernels_ref/mm/mmap.h"

namespace faultline::ref {

// Whether a fault on the page is for user space: the page is missing and the VMA registered for that (do_anonymous_page), or
// it is a store and the page is protected (do_wp_page).
bool is_userfault(Cpu cpu, MmId mm, Slot slot, bool write);

// handle_userfault, after the caller has dropped its lock, for a page of this thread's process. The fault joins the queue in
// the step in which it is called. False: a SIGKILL has ended the wait, and the thread has only to clean up.
Task<bool> handle_userfault(Cpu cpu, Slot slot);

// The ioctls, for pages [from, to] of the calling process: UFFDIO_REGISTER, _UNREGISTER, _COPY, _ZEROPAGE, _WRITEPROTECT, _WAKE.
Task<Result> uffd_register(Cpu cpu, Slot from, Slot to, op::UffdRegister::Mode mode);
Task<Result> uffd_unregister(Cpu cpu, Slot from, Slot to);
Task<Result> uffd_copy(Cpu cpu, Slot slot, int value);
Task<Result> uffd_zeropage(Cpu cpu, Slot from, Slot to);
Task<Result> uffd_writeprotect(Cpu cpu, Slot from, Slot to, bool set);
Task<Result> uffd_wake(Cpu cpu, Slot from, Slot to);

}  // namespace faultline::ref
