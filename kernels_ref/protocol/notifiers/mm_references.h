// Which references to an mm a notifier may take and drop, and how a notifier is unregistered.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// hmm_mirror_unregister of 2018, when callbacks found struct hmm through mm->hmm, against an invalidation.
Protocol mirror_unregister();
// A notifier that hands work to a thread which needs the mm (amdkfd's deferred list), called by compaction
// while the process exits.
Protocol deferred_list_work();

}  // namespace faultline::ref::protocol
