#include "kernels_ref/drivers/dmirror.h"

#include <cerrno>

#include "kernels_ref/drivers/amdkfd/ranges.h"
#include "kernels_ref/mm/fork_exit.h"
#include "kernels_ref/mm/huge_memory.h"
#include "kernels_ref/mm/migrate_device.h"

namespace faultline::ref {

namespace {

bool mutex_free(Cpu cpu, MirrorId opener) { return !cpu.world().mirror[opener].locked; }

// dmirror_do_read / dmirror_do_write for one page, under the mutex. False: no usable entry.
Task<bool> copy_through_entry(Cpu cpu, MirrorId opener, Slot slot, bool write, Result* result, Contents stored) {
  World& w = cpu.world();
  const DeviceEntry entry = w.mirror[opener].entry[slot];
  if (!entry.valid() || (write && !entry.writable && cpu.on(Rule::device_checks_write_tag))) co_return false;
  if (entry.frame == zero_page) {
    if (!write) result->contents = {};
    co_return true;
  }
  Frame& frame = w.frame[entry.frame];
  if (frame.kind == Frame::Kind::free) cpu.breaks(Broken::use_after_free);
  if (!write) result->contents = frame.contents;
  if (frame.kind == Frame::Kind::device) {
    // Whoever migrates the page back does not take this mutex: the copy may come too late (KnownBug::freed_private_copy).
    w.mirror[opener].locked = 1;
    w.mirror[opener].copying = entry.frame;
    co_await cpu.step("dmirror_do_read/write: copy");
    w.mirror[opener].locked = 0;
    w.mirror[opener].copying = none;
    if (!write) result->contents = frame.contents;
  }
  if (write) frame.contents = stored;
  co_return true;
}

// dmirror_range_fault and dmirror_do_fault for one page: fills the device's entry. Gives an errno.
Task<int> fault_entry(Cpu cpu, MirrorId id, Slot slot, bool write) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  while (true) {
    co_await cpu.until("mmu_interval_read_begin, mmap_read_lock",
                       [cpu, id, mm] { return can_begin_read(cpu, id) && can_read_lock(cpu.world(), mm); });
    begin_read(cpu, id, slot);
    ++w.mm[mm].readers;
    // Userptr memory of amdgpu has no dev_private_owner: pages in VRAM come back.
    const HmmPage page = co_await hmm_range_fault(cpu, mm, slot, write, is_kfd(cpu) ? -1 : device_of(id));
    cpu.self().moved = 0;
    const bool lost = page.own_private && w.frame[page.frame].entry_lost;
    read_unlock(w, mm);
    if (page.error == EBUSY) continue;
    if (page.error) co_return page.error;
    co_await cpu.until("dmirror_range_fault: mutex", [cpu, id] { return mutex_free(cpu, id); });
    if (cpu.self().collided && cpu.on(Rule::device_rechecks)) continue;  // mmu_interval_read_retry
    if (page.own_private) {
      if (lost) cpu.meets(KnownBug::miscounted_private_page);
      else if (!write || page.writable) cpu.meets(KnownBug::read_private_oops);
      else cpu.meets(KnownBug::write_private_warn);
      co_return EFAULT;
    }
    if (cpu.self().moved) cpu.meets(KnownBug::unstamped_migrate);
    if (write && !page.writable && cpu.on(Rule::hmm_faults_for_write)) co_return EFAULT;
    w.mirror[id].entry[slot] = {page.frame == none ? zero_page : page.frame, page.writable};
    co_return 0;
  }
}

// The loop of dmirror_read and dmirror_write: copy, and where an entry is missing fault and start over.
Task<Result> access(Cpu cpu, MirrorId opener, Slot slot, bool write, int value) {
  World& w = cpu.world();
  Result result{.kind = write ? Result::Kind::ok : Result::Kind::contents};
  const Contents stored{static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)};
  // Where nothing closes the file, getting it belongs to the step that follows.
  if (cpu.shape->closes) co_await cpu.step("dmirror: fdget");
  else co_await cpu.until("dmirror: mutex", [cpu, opener] { return mutex_free(cpu, opener); });
  if (!get_file(cpu, opener)) co_return failed(EBADF);
  if (cpu.shape->closes) co_await cpu.until("dmirror: mutex", [cpu, opener] { return mutex_free(cpu, opener); });
  while (!co_await copy_through_entry(cpu, opener, slot, write, &result, stored)) {
    result.faulted = 1;
    int error = EFAULT;
    if (w.mm[mm_of(opener)].users > 0 || !cpu.on(Rule::mmget_guards)) {  // mmget_not_zero
      ++w.mm[mm_of(opener)].users;
      error = co_await fault_entry(cpu, opener, slot, write);
      end_read(cpu);
      co_await mmput(cpu, mm_of(opener));
    } else {
      cpu.meets(KnownBug::dead_mm_fault);
    }
    if (error) {
      result = failed(error);
      result.faulted = 1;
      break;
    }
    co_await cpu.until("dmirror: mutex", [cpu, opener] { return mutex_free(cpu, opener); });
  }
  co_await put_file(cpu, opener);
  co_return result;
}

// MMU_NOTIFY_MIGRATE, which the device that migrates ignores. False: nobody else is there to hear it.
Task<bool> tell_others(Cpu cpu, MirrorId id, Slot from, Slot to) {
  const bool told = others_listen(cpu.world(), mm_of(id), device_of(id)) && cpu.on(Rule::migrate_tells_others);
  if (told) co_await invalidate_start(cpu, mm_of(id), from, to, Event::migrate, device_of(id));
  co_return told;
}

// migrate_vma_collect_pmd, migrate_vma_check_page: somebody holds the page, besides the page cache, so that it
// stays. What a closed ring has left behind may be gone or not.
Task<bool> held(Cpu cpu, FrameId frame) {
  const Frame& f = cpu.world().frame[frame];
  if (!cpu.on(Rule::migrate_respects_pins)) co_return false;
  if (folio_held(cpu.world(), frame)) co_return true;
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
  MigratePages source, device;
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
    // migrate_vma_pages: only anonymous memory can live on the device.
    if (f == none || (f != zero_page && w.frame[f].kind == Frame::Kind::shared)) continue;
    device[s - from] = static_cast<std::uint8_t>(device_page_for(cpu, id, f, s));
  }
  bool inserts = false;  // migrate_vma_pages: MIGRATE once more, from the first page that was not there
  for (Slot s = from; s <= to; ++s) {
    if (source[s - from] != zero_page) continue;
    if (!inserts) inserts = co_await tell_others(cpu, id, s, to);
    co_await cpu.step("migrate_vma_insert_page");
    if (migrate_vma_insert_page(cpu, mm, s, device[s - from], writable[s - from])) continue;
    put_ref(w, device[s - from]);
    device[s - from] = none;
  }
  if (inserts) co_await invalidate_end(cpu, mm);
  co_await cpu.until("dmirror_migrate_finalize_and_map: mutex", [cpu, id] { return mutex_free(cpu, id); });
  for (Slot s = from; s <= to; ++s) {
    if (device[s - from] == none) continue;
    const FrameId mapped = source[s - from] == zero_page ? device[s - from] : source[s - from];
    if (w.frame[mapped].mapcount == 0) cpu.meets(KnownBug::stale_migrated_entry);
    w.mirror[id].entry[s] = {device[s - from], writable[s - from]};
    for (ThreadState& t : w.thread)  // the callback ignores MIGRATE of its own device, and stamps nothing
      if (t.reading == id && t.asked == s) t.moved = 1;
  }
  co_await cpu.step("migrate_vma_finalize");
  for (Slot s = from; s <= to; ++s) {
    const std::uint8_t f = source[s - from], d = device[s - from];
    if (f != none && f != zero_page) migrate_vma_finalize(cpu, f, d == none ? f : d);
    if (d != none) put_ref(w, d);
  }
}

// dmirror_migrate_to_system for [from, to], inside one VMA.
Task<void> migrate_piece_back(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  MigratePages device;
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
  co_await dmirror_migrate_back(cpu, mm, from, device, 1);
}

// The part that both directions share: the file, mmget_not_zero, mmap_lock, VMA by VMA.
Task<Result> migrate(Cpu cpu, MirrorId id, Slot from, Slot to, bool to_device) {
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
  read_unlock(w, mm);
  co_await mmput(cpu, mm);
  if (to_device && result.kind == Result::Kind::ok) {  // read back what is on the device now
    co_await cpu.until("dmirror_do_read: mutex", [cpu, id] { return mutex_free(cpu, id); });
    for (Slot s = from; s <= to; ++s)
      if (!w.mirror[id].entry[s].valid()) result = failed(ENOENT);
  }
  co_await put_file(cpu, id);
  co_return result;
}

}  // namespace

Task<Result> dmirror_read(Cpu cpu, MirrorId opener, Slot slot) { return access(cpu, opener, slot, false, 0); }

Task<Result> dmirror_write(Cpu cpu, MirrorId opener, Slot slot, int value) {
  return access(cpu, opener, slot, true, value);
}

Task<Result> dmirror_migrate_to_device(Cpu cpu, MirrorId opener, Slot from, Slot to) {
  return migrate(cpu, opener, from, to, true);
}

Task<Result> dmirror_migrate_to_system(Cpu cpu, MirrorId opener, Slot from, Slot to) {
  return migrate(cpu, opener, from, to, false);
}

Task<void> dmirror_migrate_back(Cpu cpu, MmId mm, Slot from, MigratePages pages, int own) {
  World& w = cpu.world();
  co_await cpu.step("dmirror_devmem_fault_alloc_and_copy: xa_erase");
  for (std::uint8_t& page : pages) {
    if (page == none) continue;
    // migrate_vma_check_page: allows pages of a device one reference more than they have since 27674ef6c73f.
    const int others = w.frame[page].refs - own;
    if (others > 1) {
      migrate_vma_finalize(cpu, page, page);
      page = none;
    } else if (cpu.on(Rule::migrate_back_erases_entry) && w.frame[page].owner != none) {
      for (DeviceEntry& e : w.mirror[w.frame[page].owner].entry)
        if (e.frame == page) e = {};
    }
  }
  co_await cpu.step("dmirror_devmem_fault_alloc_and_copy: copy");
  MigratePages system = system_pages_for(cpu, pages, mm, from);
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

Task<Result> dmirror_snapshot(Cpu cpu, MirrorId opener, Slot from, Slot to) {
  World& w = cpu.world();
  co_await cpu.step("dmirror_snapshot");
  if (!get_file(cpu, opener)) co_return failed(EBADF);
  Result result{.kind = Result::Kind::letters};
  if (w.mm[mm_of(opener)].users == 0) {
    result = failed(EINVAL);
  } else {
    ++w.mm[mm_of(opener)].users;
    co_await cpu.until("mmap_read_lock", [cpu, opener] { return can_read_lock(cpu.world(), mm_of(opener)); });
    ++w.mm[mm_of(opener)].readers;
    for (Slot s = from; s <= to; ++s) {
      if (s > from) co_await cpu.step("hmm_range_fault: snapshot");
      result.letters |= static_cast<std::uint64_t>(hmm_snapshot(cpu, mm_of(opener), s, device_of(opener))) << (4 * (s - from));
    }
    read_unlock(w, mm_of(opener));
    co_await mmput(cpu, mm_of(opener));
  }
  co_await put_file(cpu, opener);
  co_return result;
}

}  // namespace faultline::ref
