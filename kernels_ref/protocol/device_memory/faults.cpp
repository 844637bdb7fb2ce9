#include "kernels_ref/protocol/device_memory/faults.h"

namespace faultline::ref::protocol {

namespace {

// An entry of a page in device memory, or under exclusive access, holds the frame `special`.
constexpr int special = 5, migrating = 4, system_frame = 1;
constexpr int page_struct = 0;  // struct page of page 0; its mapping has one reference
enum : int { cpu_faults, device_answer };
enum Answer : std::uint8_t { open, mapped, cancelled };
// World::count
enum : int { dma_pages, in_vram };

Page& pte(Kernel k, int page = 0) { return k.world().mm[0].page[page]; }

// do_swap_page and the driver's migrate_to_ram, of a folio of two pages.
Task<void> device_private_fault(Kernel k) {
  World& w = k.world();
  const bool ref = !k.with(Variant::private_fault_without_ref);
  co_await k.until("do_swap_page: page table locked, no migration entry", [k] { return pte(k).frame != migrating; });
  if (pte(k).frame != special) co_return;
  if (ref) k.get(page_struct);
  co_await k.lock(Lock::page, "migrate_vma_setup: folio_lock");
  k.use(page_struct);
  co_await k.step("migrate_vma_setup: still the same entry?");
  if (pte(k).frame == special) {
    pte(k).frame = migrating;
    w.count[dma_pages] += 2;
    co_await k.step("migrate_to_ram: copy");
    w.count[dma_pages] -= k.with(Variant::unmaps_one_page) ? 1 : 2;
    pte(k) = {system_frame, static_cast<std::uint8_t>(k.with(Variant::slow_path_read_only) ? 0 : 1)};
    k.put(page_struct);
  }
  k.unlock(Lock::page);
  if (ref) k.put(page_struct);
}

Task<void> store(Kernel k, int) {
  while (true) {
    co_await k.step("store");
    if (pte(k).frame == system_frame && pte(k).writable) break;
    ++k.record().result[cpu_faults];
    if (pte(k).frame != system_frame) {
      co_await device_private_fault(k);
    } else {
      co_await k.step("do_wp_page: reuse");
      pte(k).writable = 1;
    }
  }
  k.returns();
}

// remove_device_exclusive_entry
Task<void> device_exclusive_fault(Kernel k, int) {
  const bool ref = !k.with(Variant::exclusive_fault_without_ref);
  co_await k.step("do_swap_page: page table locked, device-exclusive entry");
  if (pte(k).frame != special) co_return;
  if (ref) k.get(page_struct);
  co_await k.lock(Lock::page, "remove_device_exclusive_entry: folio_lock");
  k.use(page_struct);
  co_await k.step("restore_exclusive_pte: still the same entry?");
  if (pte(k).frame == special) pte(k) = {system_frame, 1};
  k.unlock(Lock::page);
  if (ref) k.put(page_struct);
  k.returns();
}

Task<void> unmap(Kernel k, int) {
  co_await k.step("zap_pte_range");
  pte(k) = {};
  co_await k.step("tlb_finish_mmu: free the page");
  k.put(page_struct);
}

// svm_migrate_to_ram: brings back the whole range, except pages that are locked.
Task<void> svm_migrate_to_ram(Kernel k) {
  World& w = k.world();
  co_await k.lock(Lock::svms, "svm_migrate_to_ram: mutex_lock(&prange->migrate_mutex)");
  if (w.count[in_vram]) {
    bool all = true;
    for (int page = 0; page < max_pages; ++page) {
      if (pte(k, page).frame != special) continue;
      co_await k.step("migrate_vma_collect_pmd: trylock_page");
      const bool locked = page == 1 && !k.try_lock(Lock::page);
      all = all && !locked;
      if (locked) continue;
      pte(k, page) = {system_frame, 1};
      if (page == 1) k.unlock(Lock::page);
    }
    if (all || k.with(Variant::range_marked_migrated)) w.count[in_vram] = 0;
  }
  k.unlock(Lock::svms);
}

Task<void> touch_both(Kernel k, int) {
  for (int page = 0; page < max_pages; ++page) {
    while (true) {
      co_await k.step("load");
      if (pte(k, page).frame == system_frame) break;
      co_await svm_migrate_to_ram(k);
    }
  }
  k.returns();
}

Task<void> lock_for_a_while(Kernel k, int) {
  co_await k.lock(Lock::page, "folio_lock of page 1");
  co_await k.step("folio_unlock");
  k.unlock(Lock::page);
}

// hmm_vma_handle_pte of a device that does not own the page.
Task<void> device_fault(Kernel k, int) {
  co_await k.read_lock(Lock::mmap_a, "hmm_range_fault: mmap_read_lock");
  while (true) {
    co_await k.step("hmm_vma_handle_pte");
    if (pte(k).frame == system_frame) break;
    if (k.with(Variant::other_device_private_fails)) break;
    co_await device_private_fault(k);  // handle_mm_fault
  }
  k.record().result[device_answer] = pte(k).frame == system_frame ? mapped : cancelled;
  k.read_unlock(Lock::mmap_a);
  k.returns();
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].page = {Page{special, 1}, Page{special, 1}};
  w.object[page_struct] = {Object::Life::live, 1};
  w.count[in_vram] = 1;
}

void one_fault_each(World& w) {
  for (const Record& r : w.record)
    if (r.result[cpu_faults] > 1) w.findings |= bit(Finding::needless_fault);
  if (w.count[dma_pages] || w.object[page_struct].life != Object::Life::freed) w.findings |= bit(Finding::leak);
}

void freed(World& w) {
  if (w.object[page_struct].life != Object::Life::freed) w.findings |= bit(Finding::leak);
}

void answered(World& w) {
  if (w.record[0].result[device_answer] == cancelled) w.findings |= bit(Finding::wrong_result);
}

}  // namespace

Protocol device_private_faults() {
  return {.name = "CPU faults on a device-private page",
          .threads = {{"CPU", store}, {"CPU", store}},
          .start = start,
          .at_end = one_fault_each};
}

Protocol device_exclusive_faults() {
  return {.name = "CPU faults on a device-exclusive page",
          .threads = {{"CPU", device_exclusive_fault}, {"CPU", device_exclusive_fault}, {"munmap", unmap}},
          .start = start,
          .at_end = freed};
}

Protocol incomplete_migration() {
  return {.name = "a range of which a page cannot be migrated back",
          .threads = {{"CPU", touch_both}, {"page lock", lock_for_a_while}},
          .start = start};
}

Protocol other_device_page() {
  return {.name = "a fault on a page of another device",
          .threads = {{"device", device_fault}, {"CPU", store}},
          .start = start,
          .at_end = answered};
}

}  // namespace faultline::ref::protocol
