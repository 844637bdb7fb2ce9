#include "kernels_ref/mm/mmap.h"

#include <cerrno>

#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

namespace {

// should_zap_folio.
bool should_zap(const World& w, MmId mm, Slot slot, bool even_cows) {
  const Pte& pte = w.mm[mm].pte[slot];
  return pte.kind != Pte::Kind::none && (even_cows || (pte.frame != none && w.frame[pte.frame].kind == Frame::Kind::shared));
}

}  // namespace

Task<void> unmap_pages(Cpu cpu, MmId mm, Slot from, Slot to, Rule notifies, Gather* gather, bool even_cows) {
  const bool unmap = notifies == Rule::munmap_notifies;
  if (cpu.on(notifies)) co_await invalidate_start(cpu, mm, from, to, unmap ? Notify::unmap : Notify::clear);
  split_huge_pmd_at(cpu, mm, from, to);
  for (Slot s = from; s <= to; ++s) {
    if (!should_zap(cpu.world(), mm, s, even_cows)) continue;
    if (unmap && s == to && from != to && !cpu.on(Rule::munmap_zaps_last_page)) continue;
    co_await cpu.step("zap_pte_range");
    const Slot last = cpu.world().mm[mm].pte[s].huge ? huge_page_of(*cpu.shape, s).last : s;  // zap_huge_pmd
    for (; s <= last; ++s)
      if (should_zap(cpu.world(), mm, s, even_cows)) zap(cpu, mm, s, *gather);
    s = last;
  }
  if (cpu.on(notifies)) co_await invalidate_end(cpu, mm);
}

Task<void> finish(Cpu cpu, MmId mm, Slot from, Slot to, const Gather* gather, Rule flushes) {
  bool stale = gather->any();
  for (Slot s = from; s <= to; ++s)
    for (const Stale& old : cpu.world().mm[mm].stale[s]) stale = stale || old.pte.kind != Pte::Kind::none;
  if (!stale) co_return;
  if (!cpu.on(Rule::zapped_pages_stay)) free_gather(cpu.world(), *gather);
  co_await cpu.step("tlb_finish_mmu");
  if (cpu.on(flushes)) flush(cpu.world(), mm, from, to);
  if (cpu.on(Rule::zapped_pages_stay)) free_gather(cpu.world(), *gather);
}

Task<void> write_lock(Cpu cpu, MmId mm) {
  co_await cpu.until("mmap_write_lock", [cpu, mm] { return can_write_lock(cpu.world(), mm); });
  cpu.world().mm[mm].writer = 1;
}

Task<void> read_lock(Cpu cpu, MmId mm) {
  co_await cpu.until("mmap_read_lock", [cpu, mm] { return can_read_lock(cpu.world(), mm); });
  ++cpu.world().mm[mm].readers;
}

Task<void> write_lock_vmas(Cpu cpu, MmId mm, Slot from, Slot to) {
  if (!can_start_write(cpu.world(), mm, from, to))
    co_await cpu.until("vma_start_write", [cpu, mm, from, to] { return can_start_write(cpu.world(), mm, from, to); });
  start_write(cpu.world(), mm, from, to);
}

Task<void> merge_vma(Cpu cpu, MmId mm, Slot from, Slot to) {
  const int ways = merge_ways(cpu, mm, from, to);
  int way = 0;
  if (ways > 1) way = co_await cpu.choose("vma_merge", ways);
  merge(cpu, mm, from, to, way);
}

namespace {

bool any_mapped(const Mm& mm, Slot from, Slot to) {
  for (Slot s = from; s <= to; ++s)
    if (mm.vma[s].mapped()) return true;
  return false;
}

// do_munmap of what is in the way of a new mapping. Holds the write lock throughout.
Task<void> unmap_target(Cpu cpu, MmId mm, Slot from, Slot to) {
  if (!any_mapped(cpu.world().mm[mm], from, to)) co_return;
  Gather gather;
  split(cpu, mm, from, to);
  co_await write_lock_vmas(cpu, mm, from, to);
  for (Slot s = from; s <= to; ++s) drop_vma(cpu.world(), mm, s);
  co_await unmap_pages(cpu, mm, from, to, Rule::munmap_notifies, &gather);
  co_await finish(cpu, mm, from, to, &gather, Rule::munmap_flushes);
}

}  // namespace

void map_pages(Cpu cpu, MmId mm, Slot from, Slot to, Backing backing, Protection protection, int file) {
  World& w = cpu.world();
  const int object = backing == Backing::anon_shared ? new_object(cpu, to - from + 1) : file;
  for (Slot s = from; s <= to; ++s) {
    VmaPage& vma = w.mm[mm].vma[s];
    const bool grows = backing == Backing::stack;
    vma = {.backing = grows ? Backing::anon_private : backing,
           .read = protection.read,
           .write = protection.write,
           .growsdown = grows};
    if (cpu.shape->accounts && vma.is_private() && protection.write)  // accountable_mapping
      vma.account = VmaPage::Account::yes;
    const Spans& spans = cpu.shape->spans;
    vma.pgoff = file != none     ? static_cast<std::uint8_t>(spans.of_file(file, spans.first(s).page))
                : object != none ? static_cast<std::uint8_t>(s - from)
                                 : cpu.shape->pgoff(s);
    if (object == none) continue;
    vma.object = static_cast<std::uint8_t>(object);
    ++w.object[object].mappings;
  }
  split(cpu, mm, from, to);
}

Task<Result> sys_mmap(Cpu cpu, Slot from, Slot to, Backing backing, Protection protection, int file) {
  const MmId mm = cpu.process();
  co_await write_lock(cpu, mm);
  co_await unmap_target(cpu, mm, from, to);
  if (file != none) co_await lock_i_mmap(cpu, file);
  map_pages(cpu, mm, from, to, backing, protection, file);
  co_await merge_vma(cpu, mm, from, to);
  write_unlock(cpu.world(), mm);
  co_return ok();
}

Task<Result> sys_munmap(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await write_lock(cpu, mm);
  if (!any_mapped(w.mm[mm], from, to)) {
    write_unlock(w, mm);
    co_return ok();
  }
  split(cpu, mm, from, to);
  co_await write_lock_vmas(cpu, mm, from, to);
  for (Slot s = from; s <= to; ++s) drop_vma(w, mm, s);
  downgrade(w, mm);
  Gather gather;
  co_await unmap_pages(cpu, mm, from, to, Rule::munmap_notifies, &gather);
  co_await finish(cpu, mm, from, to, &gather, Rule::munmap_flushes);
  read_unlock(w, mm);
  co_return ok();
}

namespace {

// Whether change_entry may make the entry writable at once, or leave that to the next store. Some kernels make it
// writable only if it is dirty (64fe24a3e05e). can_change_pte_writable: a private page that is exclusive, a shared one that is
// dirty, and none that userfaultfd protects.
bool may_upgrade(const World& w, MmId mm, Slot s, UffdWp wp) {
  const Pte& pte = w.mm[mm].pte[s];
  const VmaPage& vma = w.mm[mm].vma[s];
  if (wp == UffdWp::set || (wp == UffdWp::keep && (pte.writable || (vma.uffd_wp && pte.uffd_wp)))) return false;
  return vma.write && pte.kind == Pte::Kind::page && (!vma.is_private() || w.frame[pte.frame].exclusive);
}

// change_pte_range for one page.
void change_entry(Cpu cpu, MmId mm, Slot s, UffdWp wp, bool keep_readonly) {
  World& w = cpu.world();
  const VmaPage& vma = w.mm[mm].vma[s];
  Pte& pte = w.mm[mm].pte[s];
  const Pte old = pte;
  switch (pte.kind) {
    case Pte::Kind::none: return;
    case Pte::Kind::page:
    case Pte::Kind::zero:
      pte.protnone = !vma.accessible();
      if (!vma.write || wp != UffdWp::keep) pte.writable = 0;  // vm_page_prot
      if (may_upgrade(w, mm, s, wp) && !keep_readonly) pte.writable = 1;
      break;
    case Pte::Kind::device:
    case Pte::Kind::migration:
    case Pte::Kind::exclusive:
      pte.writable = 0;  // "a protection check is difficult so just be safe and disable write"
      break;
  }
  if (wp != UffdWp::keep) pte.uffd_wp = wp == UffdWp::set;
  const bool narrowed = pte.writable < old.writable || pte.protnone != old.protnone || pte.kind != old.kind;
  if (wp == UffdWp::keep ? !(pte == old) : narrowed) leave_stale(cpu, mm, s, old);
}

}  // namespace

Task<bool> change_protection(Cpu cpu, MmId mm, Slot from, Slot to, UffdWp wp) {
  World& w = cpu.world();
  bool changed = false;
  if (cpu.on(Rule::mprotect_notifies)) co_await invalidate_start(cpu, mm, from, to, Notify::protection_vma);
  split_huge_pmd_at(cpu, mm, from, to);
  for (Slot p = from; p <= to && cpu.on(Rule::mprotect_changes_ptes); ++p) {
    if (w.mm[mm].pte[p].kind == Pte::Kind::none) continue;
    const int keep = co_await cpu.until("change_pte_range", [cpu, mm, p, wp] { return 1 + may_upgrade(cpu.world(), mm, p, wp); });
    const Slot with = w.mm[mm].pte[p].huge ? huge_page_of(*cpu.shape, p).last : p;  // change_huge_pmd
    for (; p < with; ++p) change_entry(cpu, mm, p, wp, keep);
    change_entry(cpu, mm, p, wp, keep);
    changed = true;
  }
  if (cpu.on(Rule::mprotect_notifies)) co_await invalidate_end(cpu, mm);
  co_return changed;
}

Task<Result> sys_mprotect(Cpu cpu, Slot from, Slot to, Protection protection) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  const bool exclusive = cpu.on(Rule::mprotect_blocks_faults);
  if (exclusive) co_await write_lock(cpu, mm);
  else co_await read_lock(cpu, mm);
  Result result = ok();
  bool changed = false;
  for (Slot s = from; s <= to;) {
    if (!w.mm[mm].vma[s].mapped()) {  // pieces before the hole stay changed
      result = failed(ENOMEM);
      break;
    }
    const Slot last = vma_end(cpu, mm, s, to);
    const VmaPage& first = w.mm[mm].vma[s];
    if (first.read != protection.read || first.write != protection.write) {  // else there is nothing to do
      split(cpu, mm, s, last);
      if (exclusive) co_await write_lock_vmas(cpu, mm, s, last);
      for (Slot p = s; p <= last; ++p) {
        VmaPage& vma = w.mm[mm].vma[p];
        vma.read = protection.read;
        vma.write = protection.write;
        using Account = VmaPage::Account;
        if (!vma.is_private()) continue;
        if (vma.write && cpu.shape->accounts) vma.account = Account::yes;
        else if (vma.backing == Backing::anon_private && vma.account == Account::yes && !vma.anon_vma)
          vma.account = Account::maybe;  // since 6.6 mprotect() takes VM_ACCOUNT back
      }
      co_await merge_vma(cpu, mm, s, last);
      const bool any = co_await change_protection(cpu, mm, s, last, UffdWp::keep);
      changed = changed || any;
    }
    s = last + 1;
  }
  if (changed) {
    co_await cpu.step("mprotect: flush");
    if (cpu.on(Rule::mprotect_flushes)) flush(w, mm, from, to);
  }
  exclusive ? write_unlock(w, mm) : read_unlock(w, mm);
  co_return result;
}

namespace {

// unlink_anon_vmas for a VMA without pages, which has become as new. Only newer kernels give it the vm_pgoff of a new one too.
Task<void> unlink_anon_vmas(Cpu cpu, MmId mm, Slot from, Slot to) {
  const VmaPage& vma = cpu.world().mm[mm].vma[from];
  int resets = 0;
  if (vma.backing == Backing::anon_private && vma.pgoff != cpu.shape->pgoff(from))
    resets = co_await cpu.choose("move_vma: pgoff_unfaulted", 2);
  for (Slot s = from; s <= to; ++s) {
    VmaPage& page = cpu.world().mm[mm].vma[s];
    page.anon_vma = page.inherited = 0;
    if (resets) page.pgoff = cpu.shape->pgoff(s);
  }
}

// move_vma for [from, to], which lies in one VMA. With `dontunmap` that VMA stays as it is, without these pages.
Task<void> move_vma(Cpu cpu, MmId mm, Slot from, Slot to, Slot target, bool dontunmap) {
  World& w = cpu.world();
  const int pages = to - from + 1;
  const Slot target_last = target + to - from;
  const bool drops = w.mm[mm].vma[from].uffd_armed() && cpu.on(Rule::mremap_drops_userfaults);
  const Slot vma_first = vma_start(cpu, mm, from), vma_last = vma_end(cpu, mm, from, cpu.shape->slots() - 1);
  if (!dontunmap) split(cpu, mm, from, to);
  co_await write_lock_vmas(cpu, mm, dontunmap ? vma_first : from, dontunmap ? vma_last : to);
  if (w.mm[mm].vma[from].object != none) co_await lock_i_mmap(cpu, w.mm[mm].vma[from].object);
  for (int i = 0; i < pages; ++i) {  // copy_vma
    VmaPage& moved = w.mm[mm].vma[target + i];
    moved = w.mm[mm].vma[from + i];
    if (moved.backing == Backing::anon_private && !moved.anon_vma) moved.pgoff = cpu.shape->pgoff(target + i);
    if (moved.object != none) ++w.object[moved.object].mappings;
    moved.locked = 0;
    moved.growsdown = moved.growsdown && cpu.on(Rule::copied_vma_grows);
  }
  split(cpu, mm, target, target_last);
  start_write(w, mm, target, target_last);
  if (cpu.on(Rule::mremap_notifies)) co_await invalidate_start(cpu, mm, from, to, Notify::unmap);
  co_await cpu.step("move_ptes");
  for (int i = 0; i < pages; ++i) {
    // move_huge_pmd, where both places begin a huge page.
    const bool aligned = (cpu.shape->page(from + i) - cpu.shape->page(target + i)) % huge_pages == 0;
    if (!aligned) split_huge_pmd(cpu, mm, from + i);
    const Pte old = w.mm[mm].pte[from + i];
    leave_stale(cpu, mm, from + i, old);
    Pte moved = old;
    if (drops) moved.uffd_wp = 0;
    if (cpu.on(Rule::mremap_moves_contents)) set_pte(w, mm, target + i, moved);
    set_pte(w, mm, from + i, {});
  }
  co_await cpu.step("move_ptes: flush");  // before the page-table locks drop
  if (cpu.on(Rule::mremap_flushes)) flush(w, mm, from, to);
  if (cpu.on(Rule::mremap_notifies)) co_await invalidate_end(cpu, mm);
  int apart = 0;
  if (dontunmap) {  // copy_vma: newer kernels never merge the new VMA with the old one, which stays
    const bool beside = target_last + 1 == vma_first || vma_last + 1 == target;
    if (beside && !w.mm[mm].vma[from].anon_vma) apart = co_await cpu.choose("copy_vma: self-merge", 2);
  } else {
    for (Slot s = from; s <= to; ++s) drop_vma(w, mm, s);
  }
  if (!apart) co_await merge_vma(cpu, mm, target, target_last);
  if (dontunmap && from == vma_first && to == vma_last) co_await unlink_anon_vmas(cpu, mm, from, to);
  // mremap_userfaultfd_prep, after copy_vma: a registered neighbour that it has merged with is no longer registered either.
  const Slot last = drops ? vma_end(cpu, mm, target, cpu.shape->slots() - 1) : -1;
  for (Slot s = vma_start(cpu, mm, target); s <= last; ++s) w.mm[mm].vma[s].uffd_missing = w.mm[mm].vma[s].uffd_wp = 0;
}

}  // namespace

Task<Result> sys_mremap(Cpu cpu, Slot from, Slot to, Slot target, bool dontunmap) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  const Slot target_last = target + to - from;
  const bool overlaps = target <= to && target_last >= from;
  co_await write_lock(cpu, mm);
  if (!w.mm[mm].vma[from].mapped()) {
    // mremap_to checks for overlap after vma_lookup. Since 6.15 check_mremap_params checks before vma_lookup.
    int second = 0;
    if (overlaps) second = co_await cpu.choose("mremap: checks", 2);
    write_unlock(w, mm);
    co_return failed(second ? EINVAL : EFAULT);
  }
  if (overlaps) {
    write_unlock(w, mm);
    co_return failed(EINVAL);
  }
  // The source has more than one VMA, or a hole. Up to 6.14 vma_to_resize refuses, after the target was unmapped.
  // Since 6.15 check_prep_vma refuses before that. Since 6.17 remap_move moves one VMA after the other; where
  // the source has holes, the target stays as it is.
  bool pieces = false;
  for (Slot s = from + 1; s <= to; ++s) pieces = pieces || !w.mm[mm].vma[s].mapped() || w.mm[mm].vma[s].head;
  enum { by_pieces, late, early };
  int way = by_pieces;
  if (pieces) way = co_await cpu.choose("mremap: several VMAs", 3);
  if (way != by_pieces) {
    if (way == late) co_await unmap_target(cpu, mm, target, target_last);
    write_unlock(w, mm);
    co_return failed(EFAULT);
  }
  bool moved = false;
  for (Slot s = from; s <= to;) {
    if (!w.mm[mm].vma[s].mapped()) {
      ++s;
      continue;
    }
    const Slot last = vma_end(cpu, mm, s, to);
    if (w.mm[mm].vma[s].uffd_armed() && (moved || last < to)) {  // vma_multi_allowed
      write_unlock(w, mm);
      co_return failed(EFAULT);
    }
    co_await unmap_target(cpu, mm, target + s - from, target + last - from);
    co_await move_vma(cpu, mm, s, last, target + s - from, dontunmap);
    moved = true;
    s = last + 1;
  }
  write_unlock(w, mm);
  co_return ok();
}

}  // namespace faultline::ref
