// drivers/gpu/drm/nouveau/nouveau_svm.c: the fault worker, as the series "hmm_range_fault related fixes and
// legacy API removal v2" of July 2019 leaves it, and as it is today.
//
// Without a variant nouveau_svm_fault is the driver after patches 1, 2, 4 and 5 of that series. Variants remove
// single patches, or add the reviewer's ideas. Patches 3 and 6 are not in the thread. (Patch 4's context shows
// what patch 3 did to this path: the argument `block` is gone, and is always true.)
#pragma once

#include <string>

#include "kernels_ref/protocol/drivers/hmm_2019.h"
#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// One fault worker on the API of 2019; `circumstance` as in hmm_2019.h. Thread 0 is the worker.
// Every path on which it returns, against an invalidation and a writer of mmap_sem. Its outcome: where
// nouveau_range_fault returned, with what code, and whether mmap_sem was unlocked once.
Protocol nouveau_return_paths(int circumstance);
// The last user of the mm exits meanwhile.
Protocol nouveau_exit(int circumstance);
// Two faults of one window against two invalidations: what is left behind.
Protocol nouveau_left_behind(int circumstance);
// Two invalidations that replace the page: what the device maps, and whether a good fault is cancelled.
Protocol nouveau_collision();
// A user of the API as Documentation/vm/hmm.rst had it, of hmm_range_snapshot or hmm_range_fault, against an
// invalidation. Its outcome: the code and whether mmap_sem is still held.
enum class Call { snapshot, fault, nonblocking_fault };
Protocol documented_user(Call call);

// Today's driver: interval notifier on the stack, retries inside nouveau_range_fault for up to a second.
Protocol nouveau_today(int circumstance);
// ... and while the process exits.
Protocol nouveau_today_exit();
// ... and while the page is unmapped.
Protocol nouveau_today_munmap();
// Both pages are mapped, and the first is replaced while the device uses the second.
Protocol nouveau_today_neighbour();

}  // namespace faultline::ref::protocol
