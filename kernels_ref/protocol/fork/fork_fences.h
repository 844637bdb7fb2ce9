// fork against a device of each class, and notifiers that wait for fences.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// What a device's notifier can do; named as the language's device classes, where it has them.
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

// A process of one page forks and then writes, and so may its child; the device writes the page `length`
// times for the parent.
Protocol fork_with_device(DeviceKind kind, int length, bool child_writes);
// With userptr: `jobs` of `length` steps each, of which the queue holds one; no child that writes.
Protocol fork_with_queue(int jobs, int length);

// A fork whose notifier waits for a job of device B, which waits for a job of device A, each of
// `length` steps. Apart: fork begins when A has ended, so that no execution can deadlock.
Protocol fence_chain(int length);
Protocol fence_chain_apart(int length);

}  // namespace faultline::ref::protocol
