// Mail thread 002: who waits until a transfer has let go of a page, and for how long.
#include "stress/direct_io/experiment.h"

namespace faultline::direct_io {
std::vector<Wait> waits(const Bench&) { return {}; }
}  // namespace faultline::direct_io
