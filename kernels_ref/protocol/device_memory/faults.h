// Device-private and device-exclusive pages: what a CPU fault, and another device's, does with them.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// Two CPU threads store to one page that lies in device memory (do_swap_page, migrate_to_ram).
Protocol device_private_faults();
// Two CPU threads touch a page under exclusive access of a device while it is unmapped
// (remove_device_exclusive_entry).
Protocol device_exclusive_faults();
// A CPU thread pulls back a range of two pages, one of which somebody else has locked (svm_migrate_to_ram).
Protocol incomplete_migration();
// A device faults on a page in the memory of another one, which a CPU thread touches too.
Protocol other_device_page();

}  // namespace faultline::ref::protocol
