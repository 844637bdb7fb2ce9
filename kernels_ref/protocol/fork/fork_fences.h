// fork against a device of each class, and notifiers that wait for fences.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// What a device's notifier can do. The names are those of the language's device classes, if there is one.
enum class DeviceKind : int {
  recoverable,          // drops the entries at once; the device faults when it comes back
  preempt_and_restore,  // stops the queues at their next boundary; a worker restores them later
  userptr,              // waits for the fence of the jobs that use the pages
  pinned,               // nothing: no notifier, and pages that are pinned
  count_
};
inline constexpr DeviceKind device_kinds[] = {DeviceKind::recoverable, DeviceKind::preempt_and_restore, DeviceKind::userptr,
                                              DeviceKind::pinned};

// World::count of these protocols.
inline constexpr int fork_waited = 0;   // steps of the device for which fork waited
inline constexpr int queue_waited = 1;  // steps of fork for which a submission waited

// A process with one page forks and then writes; its child may write too. The device writes the page `length`
// times for the parent.
Protocol fork_with_device(DeviceKind kind, int length, bool child_writes);
// With userptr: `jobs` jobs of `length` steps each. The queue holds one job. No child writes.
Protocol fork_with_queue(int jobs, int length);

// A fork calls a notifier that waits for a job of device B, and this job waits for a job of device A. Each job
// has `length` steps. Apart: fork begins when A's job has ended, so that no execution can deadlock.
Protocol fence_chain(int length);
Protocol fence_chain_apart(int length);

}  // namespace faultline::ref::protocol
