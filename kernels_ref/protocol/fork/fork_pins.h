// fork against pages that are pinned: O_DIRECT, fork trees, copies at fork, GUP-fast.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// O_DIRECT on a page of a process that forks and then writes to it. Reading a file writes the memory.
Protocol o_direct_reads_file();
Protocol o_direct_writes_file();

// Page P0 is in A, B and C, each a fork of the last. C pins it for reading (`fast`: by GUP-fast), then
// writes to it; A writes and B exits at any time. Its outcome: whether the pin is on C's page at the end.
Protocol fork_tree(bool fast);

// `pinned` (0 to 2) of a process's two pages are pinned while it forks and a device writes both; the child
// reads. Its outcome: what the child has.
Protocol pinned_at_fork(int pinned);

// GUP-fast pins the page for writing while the process forks; then parent and device write.
Protocol gup_fast_against_fork();

}  // namespace faultline::ref::protocol
