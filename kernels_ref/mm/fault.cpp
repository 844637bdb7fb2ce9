#include "kernels_ref/mm/fault.h"

#include <csignal>

#include "kernels_ref/mm/driver_ops.h"
#include "kernels_ref/mm/exclusive.h"
#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/huge_memory.h"
#include "kernels_ref/mm/stack.h"
#include "kernels_ref/mm/userfaultfd.h"

namespace faultline::ref {

Result ok() { return {.kind = Result::Kind::ok}; }
Result failed(int error) { return {.kind = Result::Kind::error, .number = static_cast<std::uint8_t>(error)}; }

bool serves(const Pte& pte, bool write) {
  if (pte.protnone) return false;
  if (write) return pte.kind == Pte::Kind::page && pte.writable;
  return pte.kind == Pte::Kind::page || pte.kind == Pte::Kind::zero;
}

namespace {

Result signalled(int signal) { return {.kind = Result::Kind::signal, .number = static_cast<std::uint8_t>(signal)}; }

// wp_page_copy: maps a new page with the old page's contents (or zeroes).
Task<void> copy_page(Cpu cpu, MmId mm, Slot slot, bool unshare = false) {
  World& w = cpu.world();
  const Pte old = w.mm[mm].pte[slot];
  if (old.frame != none) get_ref(w, old.frame);
  co_await cpu.step("wp_page_copy: copy");
  Contents contents;
  if (old.frame != none && cpu.on(Rule::cow_copies_contents)) contents = w.frame[old.frame].contents;
  const FrameId copy = alloc_frame(cpu, Frame::Kind::anon, contents, {mm, slot});
  get_ref(w, copy);
  if (cpu.on(Rule::cow_notifies)) co_await invalidate_start(cpu, mm, slot, slot, Notify::clear);
  co_await cpu.step("wp_page_copy: ptep_clear_flush");
  if (w.mm[mm].pte[slot] == old || !cpu.on(Rule::cow_rechecks_pte)) {
    w.frame[copy].exclusive = 1;
    leave_stale(cpu, mm, slot, old);
    Pte fresh = page_pte(copy, !unshare);
    fresh.uffd_wp = unshare && old.uffd_wp;
    set_pte(w, mm, slot, fresh);
    if (cpu.on(Rule::cow_flushes)) flush(w, mm, slot, slot);
  }
  if (cpu.on(Rule::cow_notifies)) co_await invalidate_end(cpu, mm);
  put_ref(w, copy);
  if (old.frame != none) put_ref(w, old.frame);
}

// do_wp_page for a private page that is not exclusive.
Task<void> write_protected_page(Cpu cpu, MmId mm, Slot slot, bool unshare = false) {
  World& w = cpu.world();
  const Pte old = w.mm[mm].pte[slot];
  const auto sole = [&w, cpu, old] {
    const Frame& frame = w.frame[old.frame];
    const bool held = folio_held(w, old.frame) && cpu.on(Rule::cow_counts_references);
    return frame.kind == Frame::Kind::anon && frame.mapcount == 1 && !held;
  };
  if (sole()) {
    // Leftover references (a batch, a child that is not quite gone) decide whether the page is reused.
    const int copy = co_await cpu.choose("do_wp_page: reuse or copy", 2);
    if (w.mm[mm].pte[slot] != old) co_return;
    if (!copy && sole()) {
      w.frame[old.frame].exclusive = 1;
      if (!unshare) w.mm[mm].pte[slot] = page_pte(old.frame, true);
      co_return;
    }
  } else if (!cpu.on(Rule::cow_keeps_shared_page)) {
    if (unshare) w.frame[old.frame].exclusive = 1;
    else w.mm[mm].pte[slot].writable = 1;
    co_return;
  }
  co_await copy_page(cpu, mm, slot, unshare);
}

}  // namespace

Task<void> unshare_page(Cpu cpu, MmId mm, Slot slot) {
  bool shared = true;
  if (cpu.world().mm[mm].pte[slot].huge) shared = !co_await huge_write_protected(cpu, mm, slot, true);
  if (shared) co_await write_protected_page(cpu, mm, slot, true);
}

Task<Fault> handle_mm_fault(Cpu cpu, MmId mm, Slot slot, bool write, bool has_mmap_lock) {
  World& w = cpu.world();
  VmaPage& vma = w.mm[mm].vma[slot];
  Pte& pte = w.mm[mm].pte[slot];
  if (is_userfault(cpu, mm, slot, write)) {
    if (write && pte.kind == Pte::Kind::none) prepare_anon_vma(cpu, mm, slot);  // before do_anonymous_page looks
    co_return Fault::userfault;
  }
  if (pte.huge && write && !pte.writable) {
    const bool done = co_await huge_write_protected(cpu, mm, slot, false);
    if (done) co_return Fault::done;
  }
  switch (pte.kind) {
    case Pte::Kind::none:
      if (vma.object != none) co_return co_await fault_object(cpu, mm, slot, write);
      if (cpu.shape->huge_pages) {
        const bool done = co_await huge_anonymous_fault(cpu, mm, slot, write);
        if (done) co_return Fault::done;
      }
      if (write || !cpu.on(Rule::read_fault_maps_zero_page)) {  // do_anonymous_page
        prepare_anon_vma(cpu, mm, slot);
        const FrameId f = alloc_frame(cpu, Frame::Kind::anon, {}, {mm, slot});
        w.frame[f].exclusive = 1;
        set_pte(w, mm, slot, page_pte(f, vma.write));
      } else {
        set_pte(w, mm, slot, {Pte::Kind::zero});
      }
      break;
    case Pte::Kind::zero:
      if (!write) break;
      if (!cpu.on(Rule::zero_page_is_copied)) break;
      prepare_anon_vma(cpu, mm, slot);
      co_await copy_page(cpu, mm, slot);
      break;
    case Pte::Kind::page:
      if (!write || pte.writable) break;
      if (!vma.is_private() || w.frame[pte.frame].exclusive) {
        pte = page_pte(pte.frame, true);
      } else {
        prepare_anon_vma(cpu, mm, slot);
        co_await write_protected_page(cpu, mm, slot);
      }
      break;
    case Pte::Kind::device:
      if (!has_mmap_lock) co_return Fault::retry;
      co_return co_await cpu.driver().migrate_to_ram(cpu, mm, slot, pte.frame);
    case Pte::Kind::exclusive: co_await remove_exclusive_entry(cpu, mm, slot); break;
    case Pte::Kind::migration:
      co_await cpu.until("migration_entry_wait", [&pte] { return pte.kind != Pte::Kind::migration; });
      break;
  }
  co_return Fault::done;
}

namespace {

// Whether a user fault can run under the per-VMA lock (lock_vma_under_rcu).
bool can_lock_vma(Cpu cpu, MmId mm, Slot slot, bool write) {
  const Mm& m = cpu.world().mm[mm];
  const VmaPage& vma = m.vma[slot];
  if (!vma.mapped() || vma.locked || m.pte[slot].kind == Pte::Kind::device) return false;
  // The first write to a private VMA cannot, while mmap_lock is held for write (vmf_anon_prepare).
  return !(write && vma.is_private() && !vma.anon_vma && m.writer);
}

// lock_mm_and_find_vma, which returns with mmap_lock held for read. To extend a stack it takes mmap_lock for write
// since 6.5. Before 6.5 it took mmap_lock for read, but munmap() next to a stack did not downgrade the lock.
bool can_lock_to_find(Cpu cpu, MmId mm, Slot slot) {
  const World& w = cpu.world();
  return stack_above(*cpu.shape, w, mm, slot) < 0 ? can_read_lock(w, mm) : can_write_lock(w, mm);
}

// do_user_addr_fault. 0, or the signal that the thread gets.
Task<int> user_fault(Cpu cpu, Slot slot, bool write) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await cpu.until("do_user_addr_fault: lock",
                     [cpu, mm, slot, write] { return can_lock_vma(cpu, mm, slot, write) || can_lock_to_find(cpu, mm, slot); });
  VmaPage& vma = w.mm[mm].vma[slot];
  const bool extended = !vma.mapped() && expand_stack(cpu, mm, slot);
  if (!vma.mapped()) co_return SIGSEGV;
  if (write && !vma.write && cpu.on(Rule::fault_checks_write)) co_return SIGSEGV;
  if (!write && !vma.accessible() && cpu.on(Rule::fault_checks_access)) co_return SIGSEGV;
  const bool by_vma = !extended && can_lock_vma(cpu, mm, slot, write);
  ++(by_vma ? vma.faulting : w.mm[mm].readers);
  const Fault fault = co_await handle_mm_fault(cpu, mm, slot, write, !by_vma);
  --(by_vma ? vma.faulting : w.mm[mm].readers);
  if (fault == Fault::userfault) {
    const bool woken = co_await handle_userfault(cpu, slot);
    if (!woken) co_return SIGKILL;
  }
  co_return fault == Fault::sigbus ? SIGBUS : 0;
}

// Finds a translation for the access, and faults until there is one. If `signal` is not 0, the thread gets
// that signal instead. The access itself belongs to the step in which this returns.
struct Translation {
  Pte pte;
  int signal = 0;
};

Task<Translation> translate(Cpu cpu, Slot slot, bool write) {
  const MmId mm = cpu.process();
  while (true) {
    // Way 0 walks the page table. Each other way uses one stale translation that allows the access.
    int way = co_await cpu.until("access", [cpu, mm, slot, write] {
      int ways = 1;
      for (const Stale& old : cpu.world().mm[mm].stale[slot]) ways += serves(old.pte, write);
      return ways;
    });
    Mm& m = cpu.world().mm[mm];
    for (const Stale& old : m.stale[slot])
      if (serves(old.pte, write) && way-- == 1) co_return Translation{old.pte};
    Pte& pte = m.pte[slot];
    if (serves(pte, write)) {
      if (write && cpu.on(Rule::store_dirties_pte)) pte.lazyfree = 0;
      co_return Translation{pte};
    }
    if (write && pte.kind == Pte::Kind::zero && !cpu.on(Rule::zero_page_is_copied)) co_return Translation{pte};
    const int signal = co_await user_fault(cpu, slot, write);
    if (signal) co_return Translation{{}, signal};
  }
}

}  // namespace

Task<Result> cpu_load(Cpu cpu, Slot slot) {
  const Translation t = co_await translate(cpu, slot, false);
  if (t.signal) co_return signalled(t.signal);
  Result result{.kind = Result::Kind::contents};
  if (t.pte.frame == none) co_return result;
  const Frame& frame = cpu.world().frame[t.pte.frame];
  if (frame.kind == Frame::Kind::free) cpu.breaks(Broken::use_after_free);
  result.contents = frame.contents;
  co_return result;
}

Task<Result> cpu_store(Cpu cpu, Slot slot, int value) {
  const Translation t = co_await translate(cpu, slot, true);
  if (t.signal) co_return signalled(t.signal);
  if (t.pte.frame == none) co_return ok();  // a store to the zero page: only without zero_page_is_copied
  Frame& frame = cpu.world().frame[t.pte.frame];
  if (frame.kind == Frame::Kind::free) cpu.breaks(Broken::use_after_free);
  frame.contents = {static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)};
  co_return ok();
}

}  // namespace faultline::ref
