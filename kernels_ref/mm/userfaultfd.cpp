#include "kernels_ref/mm/userfaultfd.h"

#include <cerrno>

namespace faultline::ref {

bool is_userfault(Cpu cpu, MmId mm, Slot slot, bool write) {
  const VmaPage& vma = cpu.world().mm[mm].vma[slot];
  const Pte& pte = cpu.world().mm[mm].pte[slot];
  if (pte.kind == Pte::Kind::none) return vma.uffd_missing && cpu.on(Rule::missing_fault_waits);
  const bool present = pte.kind == Pte::Kind::page || pte.kind == Pte::Kind::zero;
  return write && present && !pte.writable && pte.uffd_wp && vma.uffd_wp && cpu.on(Rule::protected_fault_waits);
}

Task<bool> handle_userfault(Cpu cpu, Slot slot) {
  ThreadState& self = cpu.self();
  self.userfault = static_cast<std::uint8_t>(slot);
  enum { wakes, dies };
  const auto woken = [cpu] { return cpu.self().userfault == none; };
  int way = co_await cpu.until("handle_userfault", [cpu, woken] { return woken() + (cpu.own_process().ending != 0); });
  if (!woken()) way = dies;
  self.userfault = none;
  self.interrupted = way == dies;
  co_return way == wakes;
}

namespace {

// wake_userfault: threads of this process that wait for a page of [from, to]. Each looks at its page again.
void wake_userfault(Cpu cpu, Slot from, Slot to) {
  const auto& threads = cpu.shape->program->threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    std::uint8_t& waits = cpu.world().thread[t].userfault;
    if (threads[t].process == cpu.process() && waits != none && waits >= from && waits <= to) waits = none;
  }
}

bool anyone_waits(Cpu cpu, Slot from, Slot to) {
  const auto& threads = cpu.shape->program->threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    const std::uint8_t waits = cpu.world().thread[t].userfault;
    if (threads[t].process == cpu.process() && waits != none && waits >= from && waits <= to) return true;
  }
  return false;
}

// The first page at or after `s` that is mapped; `to` + 1 if there is none.
Slot next_mapped(const Mm& mm, Slot s, Slot to) {
  while (s <= to && !mm.vma[s].mapped()) ++s;
  return s;
}

// uffd_wp_range for pages of one VMA.
Task<void> uffd_wp_range(Cpu cpu, MmId mm, Slot from, Slot to, bool set) {
  const bool changed = co_await change_protection(cpu, mm, from, to, set ? UffdWp::set : UffdWp::clear);
  if (!changed) co_return;
  co_await cpu.step("uffd_wp_range: tlb_finish_mmu");
  if (cpu.on(Rule::uffd_protect_flushes)) flush(cpu.world(), mm, from, to);
}

// Gives the pages of one VMA these flags, and merges it with its neighbours.
Task<void> set_flags(Cpu cpu, MmId mm, Slot from, Slot to, bool missing, bool wp) {
  for (Slot s = from; s <= to; ++s) {
    VmaPage& vma = cpu.world().mm[mm].vma[s];
    vma.uffd_missing = missing;
    vma.uffd_wp = wp;
  }
  co_await merge_vma(cpu, mm, from, to);
}

}  // namespace

Task<Result> uffd_register(Cpu cpu, Slot from, Slot to, op::UffdRegister::Mode mode) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  using Mode = op::UffdRegister::Mode;
  const bool missing = mode != Mode::wp, wp = mode != Mode::missing;
  co_await write_lock(cpu, mm);
  Slot s = next_mapped(w.mm[mm], from, to);
  const Result result = s > to ? failed(EINVAL) : ok();
  while (s <= to) {
    const Slot last = vma_end(cpu, mm, s, to);
    const VmaPage& vma = w.mm[mm].vma[s];
    const bool has = vma.uffd_missing >= missing && vma.uffd_wp >= wp;  // more than that stays too
    if (!has) {
      split(cpu, mm, s, last);
      co_await write_lock_vmas(cpu, mm, s, last);
      co_await set_flags(cpu, mm, s, last, missing, wp);
    }
    s = next_mapped(w.mm[mm], last + 1, to);
  }
  write_unlock(w, mm);
  co_return result;
}

Task<Result> uffd_unregister(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await write_lock(cpu, mm);
  Slot s = next_mapped(w.mm[mm], from, to);
  const Result result = s > to ? failed(EINVAL) : ok();
  while (s <= to) {
    const Slot last = vma_end(cpu, mm, s, to);
    const VmaPage& vma = w.mm[mm].vma[s];
    if (vma.uffd_armed()) {
      // Nobody wakes those that wait for protected pages alone.
      const bool wakes = vma.uffd_missing && cpu.on(Rule::uffd_unregister_wakes);
      if (wakes) wake_userfault(cpu, s, last);
      co_await cpu.step("userfaultfd_clear_vma");
      split(cpu, mm, s, last);
      co_await write_lock_vmas(cpu, mm, s, last);
      if (wakes && anyone_waits(cpu, s, last)) cpu.meets(MetBug::lost_userfault_wake);
      if (vma.uffd_wp && cpu.on(Rule::uffd_unregister_resolves)) co_await uffd_wp_range(cpu, mm, s, last, false);
      co_await set_flags(cpu, mm, s, last, false, false);
    }
    s = next_mapped(w.mm[mm], last + 1, to);
  }
  write_unlock(w, mm);
  co_return result;
}

namespace {

// Whether all the pages are in one VMA that is registered (find_dst_vma).
bool in_registered_vma(Cpu cpu, MmId mm, Slot from, Slot to) {
  const VmaPage& vma = cpu.world().mm[mm].vma[from];
  return vma.mapped() && vma.uffd_armed() && vma_end(cpu, mm, from, to) == to;
}

// uffd_mfill_lock (6.9): the VMA's own lock will do, if its anon_vma exists. Before, it was always mmap_lock.
bool can_lock_dst_vma(Cpu cpu, MmId mm, Slot from) {
  const VmaPage& vma = cpu.world().mm[mm].vma[from];
  return vma.mapped() && !vma.locked && vma.anon_vma;
}

// mfill_atomic: fills the pages that are missing, up to the first that is not. `fill` makes an entry.
template <typename Fill>
Task<Result> mfill_atomic(Cpu cpu, Slot from, Slot to, Fill fill) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  // Since 6.9 find_vma_and_prepare_anon comes before the check whether the VMA is registered.
  const auto prepares = [cpu, mm, from, to] {
    const VmaPage& vma = cpu.world().mm[mm].vma[from];
    return vma.mapped() && !vma.anon_vma && !in_registered_vma(cpu, mm, from, to);
  };
  const int early = co_await cpu.until("mfill_atomic: lock", [cpu, mm, from, prepares] {
    return can_lock_dst_vma(cpu, mm, from) || can_read_lock(cpu.world(), mm) ? 1 + prepares() : 0;
  });
  if (early) prepare_anon_vma(cpu, mm, from);
  if (!in_registered_vma(cpu, mm, from, to)) co_return failed(ENOENT);
  const bool by_vma = can_lock_dst_vma(cpu, mm, from);
  prepare_anon_vma(cpu, mm, from);
  if (!by_vma) ++w.mm[mm].readers;
  for (Slot s = from; by_vma && s <= to; ++s) ++w.mm[mm].vma[s].faulting;
  Slot s = from;
  for (; s <= to; ++s) {
    co_await cpu.step("mfill_atomic_install_pte");
    if (w.mm[mm].pte[s].kind != Pte::Kind::none && cpu.on(Rule::uffd_copy_keeps_page)) break;
    Pte pte = fill(s);
    pte.protnone = !w.mm[mm].vma[s].accessible();
    set_pte(w, mm, s, pte);
  }
  if (!by_vma) --w.mm[mm].readers;
  for (Slot p = from; by_vma && p <= to; ++p) --w.mm[mm].vma[p].faulting;
  if (s == from) co_return failed(EEXIST);
  if (anyone_waits(cpu, from, s - 1)) co_await cpu.step("wake_userfault");
  if (cpu.on(Rule::uffd_copy_wakes)) wake_userfault(cpu, from, s - 1);
  co_return s > to ? ok() : failed(EAGAIN);
}

}  // namespace

Task<Result> uffd_copy(Cpu cpu, Slot slot, int value) {
  const MmId mm = cpu.process();
  const Contents contents{static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)};
  const auto fill = [cpu, mm, contents](Slot s) {
    World& w = cpu.world();
    const FrameId page = alloc_frame(cpu, Frame::Kind::anon, contents, {mm, s});
    w.frame[page].exclusive = 1;
    return page_pte(page, w.mm[mm].vma[s].write);
  };
  co_return co_await mfill_atomic(cpu, slot, slot, fill);
}

Task<Result> uffd_zeropage(Cpu cpu, Slot from, Slot to) {
  const auto fill = [](Slot) { return Pte{.kind = Pte::Kind::zero}; };
  co_return co_await mfill_atomic(cpu, from, to, fill);
}

Task<Result> uffd_writeprotect(Cpu cpu, Slot from, Slot to, bool set) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  // Before 6.4 the pages had to be in one VMA. Since then it takes one VMA after the other, and skips holes.
  bool walks = true;
  const bool pieces = !w.mm[mm].vma[from].mapped() || vma_end(cpu, mm, from, to) != to;
  if (pieces) walks = co_await cpu.choose("mwriteprotect_range: several VMAs", 2);
  Slot s = next_mapped(w.mm[mm], from, to);
  bool found = walks && s <= to;
  while (found && s <= to) {
    const Slot last = vma_end(cpu, mm, s, to);
    found = w.mm[mm].vma[s].uffd_wp;
    if (found) co_await uffd_wp_range(cpu, mm, s, last, set);
    s = next_mapped(w.mm[mm], last + 1, to);
  }
  read_unlock(w, mm);
  if (!found) co_return failed(ENOENT);
  if (!set && anyone_waits(cpu, from, to)) co_await cpu.step("wake_userfault");
  if (!set) wake_userfault(cpu, from, to);
  co_return ok();
}

Task<Result> uffd_wake(Cpu cpu, Slot from, Slot to) {
  co_await cpu.step("userfaultfd_wake");
  wake_userfault(cpu, from, to);
  co_return ok();
}

}  // namespace faultline::ref
