// struct mmu_notifier: notifiers with a start and an end callback, on a list of the mm that SRCU guards.
// Some invalidations must not sleep, and notifiers are registered and unregistered meanwhile.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// The OOM reaper invalidates without sleeping, and both notifiers of the mm may have to return -EAGAIN. One
// counts invalidations, like hmm of 2019. The other holds its rwsem from start to end, like RDMA's ODP. A
// thread that waits for either must get on.
Protocol nonblocking_invalidation();

// A device file is closed, perhaps by another process, while an invalidation walks the list.
Protocol unregister_against_walk();

// mmu_interval_notifier_remove, then free, while an invalidation of the range ends.
Protocol remove_against_end();

// A driver registers an interval while the process exits, and cleans up.
Protocol insert_against_exit();

}  // namespace faultline::ref::protocol
