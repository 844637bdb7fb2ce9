// Device-private and device-exclusive pages: what a fault of a CPU or of another device does with them.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// Two CPU threads store to one page that lies in device memory (do_swap_page, migrate_to_ram).
Protocol device_private_faults();
// Two CPU threads touch a page under exclusive access of a device while it is unmapped
// (remove_device_exclusive_entry).
Protocol device_exclusive_faults();
// A CPU thread brings back a range of two pages while somebody else has locked one of them (svm_migrate_to_ram).
Protocol incomplete_migration();
// A device faults on a page in another device's memory, and a CPU thread touches the page too.
Protocol other_device_page();

}  // namespace faultline::ref::protocol
