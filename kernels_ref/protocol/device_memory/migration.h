// mm/migrate_device.c, mm/memory.c: device-private pages, their faults, eviction and migration.
#pragma once

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref::protocol {

// A device file is closed while a page lives in its memory and the CPU touches it.
Protocol close_with_pages();
// A page that was written is collected for migration, comes back, and is reclaimed.
Protocol migrate_written_page();
// migrate_vma_finalize puts a page onto the LRU while its process unmaps it.
Protocol finalize_against_unmap();
// Two CPU threads fault one device-private page, and a driver evicts it by its frame number.
Protocol faults_on_device_page();
// A CPU fault on a large device-private folio when only a single page can be allocated.
Protocol fault_on_large_folio();
// Collecting for migration clears a PTE while MADV_DONTNEED drops the range, and another CPU stores.
Protocol collect_against_dontneed();

}  // namespace faultline::ref::protocol
