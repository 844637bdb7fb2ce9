// What a pin holds up, and what goes on behind its back: writeback, migration, truncation.
//
// The device stands behind a notifier, or pins its pages (Variant::device_pins).
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// `cpus` of them want a page that is pinned to be let go before they go on. Whoever pinned it drops it in
// some executions and keeps it in others. World::count[cpus_waiting]: how many wait at the end.
Protocol wait_for_pin(int cpus);
inline constexpr int cpus_waiting = 0;

// A device writes twice to a page of a file while writeback writes it out, and somebody else has a passing
// reference on it. Its outcome: whether writeback wrote, or left the page for later, and for whose sake.
Protocol writeback_against_device();

// Compaction wants to move the page that a device writes. Its outcome: moved, or stayed.
Protocol compaction_against_device();

// The file is truncated under the device; then the CPU maps a new page there. Its outcome: what the
// device's second write reached.
Protocol truncation_against_device();

}  // namespace faultline::ref::protocol
