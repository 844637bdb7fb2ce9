#include <cerrno>

#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/khugepaged.h"
#include "kernels_ref/mm/mmap.h"
#include "kernels_ref/mm/reclaim.h"
#include "kernels_ref/mm/userfaultfd.h"

namespace faultline::ref {

namespace {

// madvise_walk_vmas: the next VMA at or after `s`. Skips a hole, but the call then fails in the end.
Slot next_vma(const Mm& mm, Slot s, Slot to, Result* result) {
  for (; s <= to && !mm.vma[s].mapped(); ++s) *result = failed(ENOMEM);
  return s;
}

Task<Result> madvise_dontneed(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  Result result = ok();
  for (Slot s = next_vma(w.mm[mm], from, to, &result); s <= to;) {
    const Slot last = vma_end(cpu, mm, s, to);
    Gather gather;
    if (cpu.on(Rule::dontneed_zaps)) {
      co_await unmap_pages(cpu, mm, s, last, Rule::dontneed_notifies, &gather);
      co_await finish(cpu, mm, s, last, &gather, Rule::dontneed_flushes);
    }
    s = next_vma(w.mm[mm], last + 1, to, &result);
  }
  read_unlock(w, mm);
  co_return result;
}

// madvise_vma_behavior: changes a flag of the VMAs, and no page.
Task<Result> madvise_flag(Cpu cpu, Slot from, Slot to, std::uint8_t VmaPage::*flag, bool on) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await write_lock(cpu, mm);
  Result result = ok();
  for (Slot s = next_vma(w.mm[mm], from, to, &result); s <= to;) {
    const Slot last = vma_end(cpu, mm, s, to);
    // WIPEONFORK is for private anonymous memory. VMAs before this one stay changed.
    if (flag == &VmaPage::wipeonfork && on && w.mm[mm].vma[s].backing != Backing::anon_private) {
      result = failed(EINVAL);
      break;
    }
    if (w.mm[mm].vma[s].*flag != on) {
      split(cpu, mm, s, last);
      co_await write_lock_vmas(cpu, mm, s, last);
      for (Slot p = s; p <= last; ++p) w.mm[mm].vma[p].*flag = on;
      co_await merge_vma(cpu, mm, s, last);
    }
    s = next_vma(w.mm[mm], last + 1, to, &result);
  }
  write_unlock(w, mm);
  co_return result;
}

// A large folio that is not wholly in [from, to] has to be split first. False: it cannot be split.
Task<bool> split_to_work_on(Cpu cpu, MmId mm, Slot slot, Slot from, Slot to) {
  World& w = cpu.world();
  const std::uint8_t page = w.mm[mm].pte[slot].frame;
  if (page == none || !w.frame[page].folio) co_return true;
  const HugePage huge = huge_page_of(*cpu.shape, slot);
  if (w.mm[mm].pte[slot].huge && huge.first >= from && huge.last <= to) co_return true;
  const int fails = co_await cpu.choose("split_huge_page", 2);
  if (w.mm[mm].pte[slot].frame != page || fails || folio_held(w, page)) co_return false;
  split_huge_page(cpu, page);
  co_return true;
}

// madvise_free_single_vma: makes the pages clean, so that reclaim has nothing to write back.
Task<Result> madvise_free(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  Result result = ok();
  for (Slot s = next_vma(w.mm[mm], from, to, &result); s <= to;) {
    if (w.mm[mm].vma[s].backing != Backing::anon_private) {
      result = failed(EINVAL);
      break;
    }
    const Slot last = vma_end(cpu, mm, s, to);
    if (cpu.on(Rule::free_notifies)) co_await invalidate_start(cpu, mm, s, last, Notify::clear);
    for (Slot p = s; p <= last; ++p) {
      if (w.mm[mm].pte[p].kind != Pte::Kind::page) continue;
      const bool splits = co_await split_to_work_on(cpu, mm, p, s, last);
      if (!splits) continue;
      co_await cpu.step("madvise_free_pte_range");
      Pte& pte = w.mm[mm].pte[p];
      if (pte.kind != Pte::Kind::page || pte.lazyfree) continue;
      leave_stale(cpu, mm, p, pte);
      pte.lazyfree = 1;
    }
    if (cpu.on(Rule::free_notifies)) co_await invalidate_end(cpu, mm);
    const Gather nothing;
    co_await finish(cpu, mm, s, last, &nothing, Rule::free_flushes);
    s = next_vma(w.mm[mm], last + 1, to, &result);
  }
  read_unlock(w, mm);
  co_return result;
}

// madvise_pageout: takes pages that are mapped only here, if it can. The caller never learns whether it did.
Task<Result> madvise_pageout(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  Result result = ok();
  Gather gather;
  ++w.page_lockers;
  ++w.isolators;
  co_await cpu.step("folio_isolate_lru, shrink_folio_list");  // also pages that it then leaves alone
  for (Slot s = from; s <= to; ++s) {
    if (!w.mm[mm].vma[s].mapped()) result = failed(ENOMEM);
    if (!can_page_out(w, mm, s)) continue;
    const bool splits = co_await split_to_work_on(cpu, mm, s, from, to);
    if (!splits) continue;
    const int takes = co_await cpu.until("madvise_pageout", [&w, mm, s] { return 1 + can_page_out(w, mm, s); });
    if (takes) co_await try_to_unmap(cpu, mm, s, &gather);
  }
  if (gather.any()) {
    co_await cpu.step("try_to_unmap_flush");
    if (cpu.on(Rule::reclaim_flushes)) flush(w, mm, from, to);
    free_gather(w, gather);
  }
  --w.page_lockers;
  --w.isolators;
  read_unlock(w, mm);
  co_return result;
}

// madvise_populate: what faultin_page_range does for each page until the access would go through.
Task<Result> madvise_populate(Cpu cpu, Slot from, Slot to, bool write) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  Result result = ok();
  // madvise_walk_vmas skipped holes. Since fa9fcd8bb6e4 (2024) the first hole ends the call.
  bool walks = false;
  for (Slot s = from; s <= to; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    if (!vma.mapped()) {
      result = failed(ENOMEM);
      if (!walks && s < to) walks = co_await cpu.choose("madvise_populate: hole", 2);
      if (!walks) break;
      continue;
    }
    if (write ? !vma.write : !vma.read) {  // check_vma_flags
      result = failed(EINVAL);
      break;
    }
    if (!cpu.on(Rule::populate_faults)) continue;
    while (!serves(w.mm[mm].pte[s], write)) {
      const Fault fault = co_await handle_mm_fault(cpu, mm, s, write, true);
      if (fault == Fault::sigbus) {
        read_unlock(w, mm);
        co_return failed(EFAULT);
      }
      if (fault == Fault::userfault) {  // drops mmap_lock, and looks the VMA up again
        read_unlock(w, mm);
        const bool woken = co_await handle_userfault(cpu, s);
        if (!woken) co_return failed(EINTR);
        co_await read_lock(cpu, mm);
        if (!vma.mapped() || (write ? !vma.write : !vma.read)) {
          result = failed(vma.mapped() ? EINVAL : ENOMEM);
          read_unlock(w, mm);
          co_return result;
        }
        continue;
      }
      co_await cpu.step("faultin_page: again");
    }
  }
  read_unlock(w, mm);
  co_return result;
}

// madvise_remove: punches a hole into the file behind shared pages, without mmap_lock.
Task<Result> madvise_remove(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  Result result = ok();
  for (Slot s = next_vma(w.mm[mm], from, to, &result); s <= to;) {
    const Slot last = vma_end(cpu, mm, s, to);
    const int object = w.mm[mm].vma[s].object, page = w.mm[mm].vma[s].pgoff;
    // madvise_remove needs a writable mapping. Since e8e17ee90eaf (6.7) one that could be made writable will do.
    bool refuses = w.mm[mm].vma[s].is_private();
    if (!refuses && !w.mm[mm].vma[s].write) refuses = co_await cpu.choose("madvise_remove: VM_WRITE", 2) == 0;
    if (object == none || refuses) {
      result = failed(object == none ? EINVAL : EACCES);
      break;
    }
    read_unlock(w, mm);
    co_await punch_hole(cpu, object, page, page + last - s);
    co_await read_lock(cpu, mm);
    s = next_vma(w.mm[mm], last + 1, to, &result);
  }
  read_unlock(w, mm);
  co_return result;
}

}  // namespace

Task<Result> sys_madvise(Cpu cpu, Slot from, Slot to, op::Advice advice) {
  switch (advice) {
    case op::Advice::dontneed: co_return co_await madvise_dontneed(cpu, from, to);
    case op::Advice::dontfork: co_return co_await madvise_flag(cpu, from, to, &VmaPage::dontfork, true);
    case op::Advice::hugepage: co_return co_await madvise_flag(cpu, from, to, &VmaPage::hugepage, true);
    case op::Advice::populate_read: co_return co_await madvise_populate(cpu, from, to, false);
    case op::Advice::populate_write: co_return co_await madvise_populate(cpu, from, to, true);
    case op::Advice::wipeonfork: co_return co_await madvise_flag(cpu, from, to, &VmaPage::wipeonfork, true);
    case op::Advice::keeponfork: co_return co_await madvise_flag(cpu, from, to, &VmaPage::wipeonfork, false);
    case op::Advice::free: co_return co_await madvise_free(cpu, from, to);
    case op::Advice::pageout: co_return co_await madvise_pageout(cpu, from, to);
    case op::Advice::collapse: co_return co_await madvise_collapse(cpu, from, to);
    case op::Advice::remove: co_return co_await madvise_remove(cpu, from, to);
  }
  co_return failed(EINVAL);
}

}  // namespace faultline::ref
