// What other drivers leave to workers: xe's rebinding of userptrs, mlx5's destruction of unused regions.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// A userptr's memory is unmapped, rebinding it fails, and it is unbound.
Protocol xe_rebind();
// Two invalidations empty a memory region, which is destroyed by work.
Protocol odp_destroy();

}  // namespace faultline::ref::protocol
