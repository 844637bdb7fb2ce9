#include "kernels_ref/protocol/device_memory/migration.h"

#include "kernels_ref/protocol/fork/cow.h"

namespace faultline::ref::protocol {

namespace {

constexpr int device_memory = 0, folio = 1;  // objects
constexpr int in_device = 1, in_system = 2;  // frames

void start_in_device(World& w) {
  w.object[device_memory] = w.object[folio] = {Object::Life::live, 1};
  map_frame(w, w.mm[0].page[0], in_device, true);
}

void move_back(World& w) {
  unmap_frame(w, w.mm[0].page[0]);
  map_frame(w, w.mm[0].page[0], in_system, true);
}

// --- close ---

Task<void> touch(Kernel k, int) {
  World& w = k.world();
  co_await k.step("CPU: touches the page");
  if (w.mm[0].page[0].frame != in_device) co_return;
  co_await k.lock(Lock::page, "do_swap_page: folio_lock");
  if (w.mm[0].page[0].frame == in_device) {
    co_await k.step("migrate_to_ram");
    k.use(device_memory);
    move_back(w);
  }
  k.unlock(Lock::page);
}

Task<void> close_device(Kernel k, int) {
  World& w = k.world();
  co_await k.step("close");
  if (!k.with(Variant::close_without_eviction)) {
    co_await k.lock(Lock::page, "dmirror_device_evict_chunk: folio_lock");
    if (w.mm[0].page[0].frame == in_device) move_back(w);
    k.unlock(Lock::page);
  }
  k.free(device_memory);
}

// --- dirty ---

constexpr int stored = 1;

Task<void> store_migrate_reclaim(Kernel k, int) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  co_await k.step("migrate_vma_collect_pmd");
  const Page entry = pte;
  pte = {};
  if (entry.dirty && !k.with(Variant::dirty_bit_not_copied)) w.frame[in_system].dirty = 1;
  co_await k.step("remove_migration_ptes: clean");
  pte = {entry.frame, entry.writable};
  co_await k.step("shrink_folio_list");
  if (!pte.dirty && !w.frame[in_system].dirty) w.memory[in_system] = 0;  // clean: swap's old contents come back
  co_await k.step("CPU: loads");
  if (w.memory[in_system] != stored) k.find(Finding::lost_write);
}

void start_written(World& w) {
  map_frame(w, w.mm[0].page[0], in_system, true);
  w.mm[0].page[0].dirty = 1;
  w.memory[in_system] = stored;
}

// --- the LRU ---

Task<void> finalize(Kernel k, int) {
  const bool late = k.with(Variant::lru_add_after_put);
  co_await k.step("migrate_vma_finalize: remove_migration_ptes");
  k.world().count[0] = 1;  // mapped: its process can unmap it
  if (late) k.put(folio);
  co_await k.step("migrate_vma_finalize: folio_putback_lru");
  k.use(folio);
  if (!late) k.put(folio);
}

Task<void> unmap_folio(Kernel k, int) {
  World& w = k.world();
  co_await k.until("munmap", [&w] { return w.count[0] != 0; });
  k.put(folio);
}

void start_folio(World& w) { w.object[folio] = {Object::Life::live, 2}; }

void folio_is_gone(World& w) {
  if (w.object[folio].life == Object::Life::live) w.findings |= bit(Finding::leak);
}

// --- who migrates ---

// Migrates if nobody else has a reference. The caller holds the folio lock.
Task<void> try_to_migrate(Kernel k, int own) {
  World& w = k.world();
  co_await k.step("migrate_vma: are there other references?");
  if (w.mm[0].page[0].frame == in_device && w.frame[in_device].refs == own) {
    w.frame[in_device].refs = 0;
    move_back(w);
  }
}

// One attempt of a fault or of an eviction. `greedy`: takes a reference first, and then sleeps for the folio lock.
Task<void> migrate_once(Kernel k, bool greedy, const char* label) {
  World& w = k.world();
  Frame& f = w.frame[in_device];
  co_await k.step(label);
  if (w.mm[0].page[0].frame != in_device) co_return;
  if (greedy) {
    ++f.refs;
    co_await k.lock(Lock::page, "folio_lock");
  } else {
    if (!k.try_lock(Lock::page)) {  // waits for the folio without a reference to it
      co_await k.until("folio_wait_locked", [&w] { return !w.lock[static_cast<int>(Lock::page)].writer; });
      co_return;
    }
    ++f.refs;
  }
  co_await try_to_migrate(k, 1);
  if (f.refs) --f.refs;
  k.unlock(Lock::page);
}

Task<void> fault_device_page(Kernel k, int) {
  while (k.world().mm[0].page[0].frame == in_device)
    co_await migrate_once(k, k.with(Variant::fault_holds_reference), "do_swap_page");
}

Task<void> evict_by_frame_number(Kernel k, int) {
  while (k.world().mm[0].page[0].frame == in_device)
    co_await migrate_once(k, k.with(Variant::eviction_holds_reference), "migrate_device_range");
}

// --- a large folio ---

Task<void> split_and_migrate(Kernel k, int) {
  World& w = k.world();
  Frame& f = w.frame[in_device];
  while (w.mm[0].page[0].frame == in_device) {
    co_await k.step("do_swap_page: folio_get");
    ++f.refs;
    co_await k.step("migrate_vma_collect: folio_get");
    ++f.refs;
    co_await k.step("split_folio");
    const int expected = k.with(Variant::split_forgets_the_fault) ? 1 : 2;
    const bool split = f.refs == expected;
    f.refs = 0;
    if (split) move_back(w);  // else -EAGAIN, and the CPU faults again
  }
}

// --- the flush; entry of device 1: what the TLB of the other CPU holds ---

constexpr int zapped = 0;  // mark: MADV_DONTNEED has returned

Task<void> collect(Kernel k, int) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  co_await k.step("migrate_vma_collect_pmd: clear the PTE");
  const Page entry = pte;
  pte = {};
  if (k.with(Variant::ptl_dropped_before_flush)) co_await k.step("migrate_vma_collect_pmd: flush_tlb_range");
  w.device[1].entry[0] = {};
  if (!entry.frame) co_return;
  co_await k.step("migrate_vma_finalize");
  if (!w.count[zapped]) pte = entry;
}

Task<void> dontneed(Kernel k, int) {
  World& w = k.world();
  co_await k.step("zap_pte_range");
  const Page entry = w.mm[0].page[0];
  w.mm[0].page[0] = {};
  if (entry.frame) {
    co_await k.step("tlb_finish_mmu");  // nothing was present: nothing to flush
    w.device[1].entry[0] = {};
  }
  w.count[zapped] = 1;
}

Task<void> store_through_tlb(Kernel k, int) {
  World& w = k.world();
  co_await k.step("CPU: store");
  if (w.device[1].entry[0].frame && w.count[zapped]) k.find(Finding::stale_entry);
}

void start_in_tlb(World& w) {
  w.mm[0].page[0] = {in_system, 1};
  w.device[1].entry[0] = w.mm[0].page[0];
}

}  // namespace

Protocol close_with_pages() {
  return {
      .name = "close with pages in the device", .threads = {{"CPU", touch}, {"close", close_device}}, .start = start_in_device};
}

Protocol migrate_written_page() {
  return {.name = "a written page migrates", .threads = {{"kernel", store_migrate_reclaim}}, .start = start_written};
}

Protocol finalize_against_unmap() {
  return {.name = "finalize against munmap",
          .threads = {{"migration", finalize}, {"munmap", unmap_folio}},
          .start = start_folio,
          .at_end = folio_is_gone};
}

Protocol faults_on_device_page() {
  return {.name = "faults on one device page",
          .threads = {{"CPU", fault_device_page}, {"CPU", fault_device_page}, {"eviction", evict_by_frame_number}},
          .start = start_in_device};
}

Protocol fault_on_large_folio() {
  return {.name = "fault on a large folio", .threads = {{"CPU", split_and_migrate}}, .start = start_in_device};
}

Protocol collect_against_dontneed() {
  return {.name = "collect against MADV_DONTNEED",
          .threads = {{"migration", collect}, {"madvise", dontneed}, {"other CPU", store_through_tlb}},
          .start = start_in_tlb};
}

}  // namespace faultline::ref::protocol
