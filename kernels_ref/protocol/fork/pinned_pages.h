// What has to wait for a pin, and what happens to pinned pages all the same: writeback, migration, truncation.
//
// The device has a notifier, or pins its pages (Variant::device_pins).
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// `cpus` CPUs wait until a pinned page is unpinned. The owner of the pin unpins it in some executions and keeps it
// in others. World::count[cpus_waiting]: how many CPUs wait at the end.
Protocol wait_for_pin(int cpus);
inline constexpr int cpus_waiting = 0;

// A device writes twice to a page of a file while writeback writes the page out, and somebody else has a passing
// reference to it. Its outcome: whether writeback wrote the page, or left it for the pin or for the other reference.
Protocol writeback_against_device();

// Compaction wants to move the page that a device writes. Its outcome: moved, or stayed.
Protocol compaction_against_device();

// The file is truncated under the device. Its outcome: whether a write of the device reached a page that no file
// has any more.
Protocol truncation_against_device();

}  // namespace faultline::ref::protocol
