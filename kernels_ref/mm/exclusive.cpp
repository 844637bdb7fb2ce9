#include "kernels_ref/mm/exclusive.h"

#include "kernels_ref/mm/fault.h"
#include "kernels_ref/mm/gup.h"
#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

void restore_exclusive_entry(World& world, MmId mm, Slot slot) {
  const VmaPage& vma = world.mm[mm].vma[slot];
  Pte& pte = world.mm[mm].pte[slot];
  pte.kind = Pte::Kind::page;
  pte.writable = pte.writable && vma.write;  // maybe_mkwrite
  pte.protnone = !vma.accessible();
}

Task<void> remove_exclusive_entry(Cpu cpu, MmId mm, Slot slot) {
  World& w = cpu.world();
  const Pte old = w.mm[mm].pte[slot];
  Frame& page = w.frame[old.frame];
  get_ref(w, old.frame);
  if (page.locked) co_await cpu.until("remove_device_exclusive_entry: page lock", [&page] { return !page.locked; });
  page.locked = 1;
  if (cpu.on(Rule::exclusive_notifies)) co_await invalidate_start(cpu, mm, slot, slot, Notify::exclusive);
  co_await cpu.step("restore_exclusive_pte");
  if (w.mm[mm].pte[slot] == old) restore_exclusive_entry(w, mm, slot);
  page.locked = 0;
  put_ref(w, old.frame);
  if (cpu.on(Rule::exclusive_notifies)) co_await invalidate_end(cpu, mm);
}

namespace {

// get_user_pages_remote with FOLL_WRITE: takes a reference to each page, and stops at the first that it cannot have. Returns
// how many pages it has.
Task<int> get_user_pages(Cpu cpu, MmId mm, Slot from, Slot to, FramesOfRange* pages) {
  World& w = cpu.world();
  for (Slot s = from; s <= to; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    Pte& pte = w.mm[mm].pte[s];
    if (!vma.mapped()) co_await gup_expand_stack(cpu, mm, s);
    if (!vma.mapped() || !vma.write) co_return s - from;  // check_vma_flags
    while (!serves(pte, true)) {
      const Fault fault = co_await handle_mm_fault(cpu, mm, s, true, true);
      if (fault == Fault::sigbus || fault == Fault::userfault) co_return s - from;  // it may not drop mmap_lock
      co_await cpu.step("faultin_page: again");
    }
    split_huge_pmd(cpu, mm, s);  // FOLL_SPLIT_PMD
    pte.lazyfree = 0;            // follow_page_pte: set_page_dirty
    (*pages)[s - from] = pte.frame;
    get_ref(w, pte.frame);
  }
  co_return to - from + 1;
}

// folio_make_device_exclusive, for a page that is referenced. False: it stays as it is.
Task<bool> make_exclusive(Cpu cpu, MmId mm, Slot slot, FrameId page) {
  World& w = cpu.world();
  co_await cpu.step("folio_trylock");
  Frame& frame = w.frame[page];
  if (w.page_lockers) {
    const int busy = co_await cpu.choose("folio_trylock: somebody holds the lock", 2);
    if (busy) co_return false;
  }
  if (frame.locked || frame.kind == Frame::Kind::shared) co_return false;  // folio_test_anon
  if (frame.folio) {
    const int tail = co_await cpu.choose("make_device_exclusive_range: PageTail", 2);
    if (tail) co_return false;
  }
  if (frame.locked) co_return false;
  frame.locked = 1;
  Pte& pte = w.mm[mm].pte[slot];
  if (pte.frame == page) {  // else the rmap walk finds nothing
    if (cpu.on(Rule::exclusive_notifies)) co_await invalidate_start(cpu, mm, slot, slot, Notify::exclusive);
    co_await cpu.step("page_make_device_exclusive_one");
    const bool takes = pte.frame == page && pte.kind == Pte::Kind::page && pte.writable;
    if (takes) {
      leave_stale(cpu, mm, slot, pte);
      pte.kind = Pte::Kind::exclusive;
      if (cpu.on(Rule::exclusive_flushes)) flush(w, mm, slot, slot);
    }
    if (cpu.on(Rule::exclusive_notifies)) co_await invalidate_end(cpu, mm);
    if (takes) co_return true;
  }
  frame.locked = 0;
  co_return false;
}

}  // namespace

Task<int> make_device_exclusive_range(Cpu cpu, MmId mm, Slot from, Slot to, FramesOfRange* pages) {
  pages->fill(none);
  const int found = co_await get_user_pages(cpu, mm, from, to, pages);
  for (int i = 0; i < found; ++i) {
    if (co_await make_exclusive(cpu, mm, from + i, (*pages)[i])) continue;
    put_ref(cpu.world(), (*pages)[i]);
    (*pages)[i] = none;
  }
  co_return found;
}

}  // namespace faultline::ref
