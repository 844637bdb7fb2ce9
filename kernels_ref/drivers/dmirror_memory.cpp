#include "kernels_ref/drivers/dmirror_memory.h"

#include <cerrno>

#include "kernels_ref/mm/fork_exit.h"
#include "kernels_ref/mm/huge_memory.h"
#include "kernels_ref/mm/migrate_device.h"
#include "kernels_ref/mm/migration_entries.h"
#include "kernels_ref/mm/page_failure.h"

namespace faultline::ref {

namespace {

bool mutex_free(Cpu cpu, MirrorId opener) { return !cpu.world().mirror[opener].locked; }

// Sends MMU_NOTIFY_MIGRATE, which the migrating device itself ignores. False: not sent, because no other device listens.
Task<bool> tell_others(Cpu cpu, MirrorId id, Slot from, Slot to) {
  const bool told = others_listen(cpu.world(), mm_of(id), device_of(id)) && cpu.on(Rule::migrate_tells_others);
  if (told) co_await invalidate_start(cpu, mm_of(id), from, to, Notify::migrate, device_of(id));
  co_return told;
}

// migrate_vma_collect_pmd, migrate_vma_check_page: whether the page stays, because somebody besides the page cache
// holds it. A pin that a closed ring has left behind may be gone or not.
Task<bool> held(Cpu cpu, FrameId frame) {
  const Frame& f = cpu.world().frame[frame];
  if (!cpu.on(Rule::migrate_respects_pins)) co_return false;
  if (folio_held(cpu.world(), frame)) co_return true;
  if (cpu.world().isolators) {
    const int isolated = co_await cpu.choose("migrate_vma_unmap: folio_isolate_lru", 2);
    if (isolated) co_return true;
  }
  if (f.folio) {  // has to be split first, which may fail
    const int fails = co_await cpu.choose("migrate_vma_collect_pmd: split_huge_page", 2);
    if (fails || folio_held(cpu.world(), frame)) co_return true;
    split_huge_page(cpu, frame);
  }
  if (!f.lingering) co_return false;
  const int gone = co_await cpu.choose("migrate_vma_collect_pmd: io_ring_exit_work", 2);
  co_return !gone || folio_held(cpu.world(), frame);
}

// The migration of [from, to], inside one VMA (migrate_vma_setup, dmirror_migrate_alloc_and_copy,
// migrate_vma_pages, dmirror_migrate_finalize_and_map, migrate_vma_finalize).
Task<void> migrate_piece(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  FramesOfRange source, device;
  source.fill(none);
  device.fill(none);
  bool writable[limits::spans_per_region] = {};
  const bool told = co_await tell_others(cpu, id, from, to);
  const int tells_own = co_await migrate_vma_setup_ways(cpu, mm, from, to);
  for (Slot s = from; s <= to; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    if (w.mm[mm].pte[s].kind == Pte::Kind::zero) split_huge_pmd(cpu, mm, s);
    Pte pte = w.mm[mm].pte[s];
    if (pte.kind == Pte::Kind::none || pte.kind == Pte::Kind::zero) {
      if (vma.object != none || !cpu.on(Rule::migrate_inserts_pages)) continue;  // vma_is_anonymous
      source[s - from] = zero_page;
      writable[s - from] = vma.write;
      continue;
    }
    if (pte.kind != Pte::Kind::page || w.frame[pte.frame].locked) continue;
    const bool stays = co_await held(cpu, pte.frame);
    if (!cpu.on(Rule::migrate_checks_late)) co_await cpu.step("migrate_vma_collect_pmd: ptep_clear_flush");
    pte.huge = 0;  // it has been split
    if (!stays && w.mm[mm].pte[s] == pte && !w.frame[pte.frame].locked) {
      source[s - from] = pte.frame;
      writable[s - from] = pte.writable;
      w.frame[pte.frame].locked = 1;
      get_ref(w, pte.frame);
      unmap_for_migration(cpu, mm, pte.frame, tells_own, s);
    }
  }
  if (told) co_await invalidate_end(cpu, mm);
  co_await cpu.step("dmirror_migrate_alloc_and_copy");
  for (Slot s = from; s <= to; ++s) {
    const std::uint8_t f = source[s - from];
    if (f == none) continue;
    bool fails = false;
    if (may_fail(cpu)) fails = co_await allocation_fails(cpu, "dmirror_devmem_alloc_page");
    if (fails) continue;
    // migrate_vma_pages: only anonymous memory can live on the device.
    if (f != zero_page && w.frame[f].kind == Frame::Kind::shared) continue;
    device[s - from] = static_cast<std::uint8_t>(device_page_for(cpu, id, f, s));
  }
  if (cpu.self().fail_nth > 0) cpu.self().fail_nth = some_allocation;
  bool inserts = false;  // migrate_vma_pages: MIGRATE once more, from the first page that was not there
  for (Slot s = from; s <= to; ++s) {
    if (source[s - from] != zero_page || device[s - from] == none) continue;
    if (!inserts) inserts = co_await tell_others(cpu, id, s, to);
    co_await cpu.step("migrate_vma_insert_page");
    bool fails = false;
    if (may_fail(cpu)) fails = co_await allocation_fails(cpu, "migrate_vma_insert_page: pte_alloc, anon_vma_prepare");
    if (!fails && migrate_vma_insert_page(cpu, mm, s, device[s - from], writable[s - from])) continue;
    release_device_page(w, device[s - from]);
    device[s - from] = none;
  }
  if (inserts) co_await invalidate_end(cpu, mm);
  Slot unstored = to + 1;  // the first page whose entry is not stored. The driver ignores the error
  for (Slot s = from; s < unstored; ++s) {
    if (device[s - from] == none || w.mirror[id].entry[s].valid() || !may_fail(cpu)) continue;
    const bool fails = co_await allocation_fails(cpu, "xa_store");
    if (fails) unstored = s;
  }
  co_await cpu.until("dmirror_migrate_finalize_and_map: mutex", [cpu, id] { return mutex_free(cpu, id); });
  for (Slot s = from; s < unstored; ++s) {
    if (device[s - from] == none) continue;
    const FrameId mapped = source[s - from] == zero_page ? device[s - from] : source[s - from];
    if (w.frame[mapped].mapcount == 0) cpu.meets(MetBug::stale_migrated_entry);
    w.mirror[id].entry[s] = {device[s - from], writable[s - from]};
    for (ThreadState& t : w.thread)  // the callback ignores MIGRATE of its own device, and stamps nothing
      if (t.reading == id && t.asked == s) t.moved = 1;
  }
  co_await cpu.step("migrate_vma_finalize");
  for (Slot s = from; s <= to; ++s) {
    const std::uint8_t f = source[s - from], d = device[s - from];
    if (f != none && f != zero_page) migrate_vma_finalize(cpu, f, d == none ? f : d);
    if (d != none) release_device_page(w, d);
  }
}

// dmirror_devmem_fault_alloc_and_copy, migrate_vma_pages and migrate_vma_finalize: moves collected device pages back to
// system memory. `mm` has them from `from` on. Each is locked, and the migration holds `own` references to it.
Task<void> migrate_back(Cpu cpu, MmId mm, Slot from, FramesOfRange pages, int own) {
  World& w = cpu.world();
  co_await cpu.step("dmirror_devmem_fault_alloc_and_copy: xa_erase");
  for (std::uint8_t& page : pages) {
    if (page == none) continue;
    // migrate_vma_check_page still allows a device page one extra reference. Since 27674ef6c73f such pages have none.
    const int others = w.frame[page].refs - own;
    bool stays = others > 1;
    if (!stays && may_fail(cpu)) stays = co_await allocation_fails(cpu, "dmirror_devmem_fault_alloc_and_copy: alloc_page_vma");
    if (stays) {
      migrate_vma_finalize(cpu, page, page);
      page = none;
    } else if (cpu.on(Rule::migrate_back_erases_entry) && w.frame[page].owner != none) {
      for (DeviceEntry& e : w.mirror[w.frame[page].owner].entry)
        if (e.frame == page) e = {};
    }
  }
  co_await cpu.step("dmirror_devmem_fault_alloc_and_copy: copy");
  FramesOfRange system = system_pages_for(cpu, pages, mm, from);
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (pages[i] == none || w.frame[pages[i]].refs == own) continue;
    put_ref(w, system[i]);  // folio_migrate_mapping: -EAGAIN
    system[i] = none;
    w.frame[pages[i]].entry_lost = 1;
  }
  co_await cpu.step("migrate_vma_finalize");
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (pages[i] == none) continue;
    const bool moved = system[i] != none;
    migrate_vma_finalize(cpu, pages[i], moved ? system[i] : pages[i]);
    if (moved) put_ref(w, system[i]);
  }
}

// dmirror_migrate_to_system for [from, to], inside one VMA.
Task<void> migrate_piece_back(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  FramesOfRange device;
  device.fill(none);
  const bool told = co_await tell_others(cpu, id, from, to);
  bool any = false;
  for (Slot s = from; s <= to; ++s) any = any || owns(w, w.mm[mm].pte[s], device_of(id));
  if (!any) {
    if (told) co_await invalidate_end(cpu, mm);
    co_return;
  }
  const int tells_own = co_await migrate_vma_setup_ways(cpu, mm, from, to);
  for (Slot s = from; s <= to; ++s) {
    const Pte& pte = w.mm[mm].pte[s];
    if (owns(w, pte, device_of(id)) && copied_elsewhere(w, pte.frame, mm))
      co_await cpu.until("try_to_migrate_one", [&w, &pte, mm] { return !copied_elsewhere(w, pte.frame, mm); });
    if (!owns(w, pte, device_of(id)) || w.frame[pte.frame].locked) continue;
    device[s - from] = pte.frame;
    w.frame[pte.frame].locked = 1;
    get_ref(w, pte.frame);
    unmap_for_migration(cpu, mm, pte.frame, tells_own);
  }
  if (told) co_await invalidate_end(cpu, mm);
  co_await migrate_back(cpu, mm, from, device, 1);
}

}  // namespace

// Both directions get the file, call mmget_not_zero, take mmap_lock, and go VMA by VMA.
Task<Result> dmirror_migrate(Cpu cpu, MirrorId id, Slot from, Slot to, bool to_device) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  co_await cpu.step("dmirror: migrate");
  if (!get_file(cpu, id)) co_return failed(EBADF);
  Result result = ok();
  if (w.mm[mm].users == 0) {
    co_await put_file(cpu, id);
    co_return failed(EINVAL);
  }
  ++w.mm[mm].users;
  co_await cpu.until("mmap_read_lock", [cpu, mm] { return can_read_lock(cpu.world(), mm); });
  ++w.mm[mm].readers;
  ++w.page_lockers;
  for (Slot s = from; s <= to;) {
    const VmaPage& vma = w.mm[mm].vma[s];
    if (!vma.mapped() || !vma.read) {
      result = failed(EINVAL);
      break;
    }
    const Slot last = vma_end(cpu, mm, s, to);
    if (to_device) co_await migrate_piece(cpu, id, s, last);
    else co_await migrate_piece_back(cpu, id, s, last);
    s = last + 1;
  }
  --w.page_lockers;
  read_unlock(w, mm);
  co_await mmput(cpu, mm);
  bool fails = false;
  if (to_device && result.kind == Result::Kind::ok && may_fail(cpu))
    fails = co_await allocation_fails(cpu, "dmirror_bounce_init");
  if (fails) result = failed(ENOMEM);
  if (to_device && result.kind == Result::Kind::ok) {  // read back what is on the device now
    co_await cpu.until("dmirror_do_read: mutex", [cpu, id] { return mutex_free(cpu, id); });
    for (Slot s = from; s <= to; ++s)
      if (!w.mirror[id].entry[s].valid()) result = failed(ENOENT);
  }
  co_await put_file(cpu, id);
  co_return result;
}

Task<Fault> dmirror_devmem_fault(Cpu cpu, MmId mm, Slot slot, FrameId page) {
  World& w = cpu.world();
  Frame& old = w.frame[page];
  get_ref(w, page);  // do_swap_page, under the page-table lock
  ++w.page_lockers;
  const int device = device_of(old.owner);
  const bool told = others_listen(w, mm, device);
  if (told) co_await invalidate_start(cpu, mm, slot, slot, Notify::migrate, device);
  const int way = co_await cpu.until(
      "migrate_vma_collect_pmd", [&w, page, mm] { return copied_elsewhere(w, page, mm) ? 0 : 1 + mapped_elsewhere(w, page); });
  const Pte& pte = w.mm[mm].pte[slot];
  const bool collects = pte.kind == Pte::Kind::device && pte.frame == page && !old.locked;
  if (collects) {
    old.locked = 1;
    get_ref(w, page);
    unmap_for_migration(cpu, mm, page, way == 1);
  }
  if (told) co_await invalidate_end(cpu, mm);
  if (collects) {
    FramesOfRange pages;
    pages.fill(none);
    pages[0] = static_cast<std::uint8_t>(page);
    co_await migrate_back(cpu, mm, slot, pages, 2);
  }
  put_ref(w, page);
  --w.page_lockers;
  co_return Fault::done;
}

Task<void> dmirror_device_remove_chunks(Cpu cpu, int device) {
  World& w = cpu.world();
  for (FrameId f = 0; f < max_frames; ++f) {
    if (w.frame[f].kind != Frame::Kind::device || device_of(w.frame[f].owner) != device) continue;
    co_await cpu.until("dmirror_device_evict_chunk", [&w, f] { return !w.frame[f].locked && !copied_elsewhere(w, f, none); });
    if (w.frame[f].kind != Frame::Kind::device) continue;
    const FrameId to = alloc_frame(cpu, Frame::Kind::anon, w.frame[f].contents);
    w.frame[to].exclusive = w.frame[f].exclusive;
    get_ref(w, to);
    get_ref(w, f);
    unmap_for_migration(cpu, none, f, false);
    remove_migration_entries(cpu, f, to);
    put_ref(w, f);
    put_ref(w, to);
  }
}

}  // namespace faultline::ref
