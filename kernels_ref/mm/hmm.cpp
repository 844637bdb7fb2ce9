#include "kernels_ref/mm/hmm.h"

#include <cerrno>
#include <string_view>

#include "kernels_ref/mm/hmm_walk.h"
#include "kernels_ref/mm/stack.h"

namespace faultline::ref {

namespace {

HmmEntry entry_of(const World& w, const Pte& pte, int device) {
  switch (pte.kind) {
    case Pte::Kind::none: return HmmEntry::none;
    case Pte::Kind::page: return pte.protnone ? HmmEntry::protnone : HmmEntry::present;
    case Pte::Kind::zero: return HmmEntry::present;
    case Pte::Kind::device: return owns(w, pte, device) ? HmmEntry::own_private : HmmEntry::other_private;
    case Pte::Kind::migration: return HmmEntry::migration;
    case Pte::Kind::exclusive: return HmmEntry::exclusive;
  }
  return HmmEntry::none;
}

}  // namespace

Task<HmmPage> hmm_range_fault(Cpu cpu, MmId mm, Slot slot, bool write, int device) {
  World& w = cpu.world();
  const HmmRequest asked{.fault = true, .write = write && cpu.on(Rule::hmm_faults_for_write)};
  while (true) {
    // mmu_interval_check_retry at the top of every walk.
    if (cpu.self().collided && cpu.on(Rule::hmm_checks_sequence)) co_return HmmPage{EBUSY};
    const VmaPage& vma = w.mm[mm].vma[slot];
    if (!vma.mapped() && !cpu.on(Rule::hmm_extends_nothing)) expand_stack(cpu, mm, slot);
    if (!vma.mapped()) co_return HmmPage{EFAULT};
    if (!vma.read && cpu.on(Rule::hmm_checks_read)) co_return HmmPage{EFAULT};
    const Pte& pte = w.mm[mm].pte[slot];
    const HmmAction action = hmm_vma_handle_pte(entry_of(w, pte, device), pte.writable, false, asked);
    if (action.kind == HmmAction::Kind::pfn) co_return HmmPage{0, pte.frame, action.write, pte.kind == Pte::Kind::device};
    if (action.kind == HmmAction::Kind::efault) co_return HmmPage{EFAULT};
    if (action.write && !vma.write && cpu.on(Rule::hmm_checks_write)) co_return HmmPage{EPERM};  // hmm_vma_fault
    // handle_mm_fault also does the waiting for a migration entry.
    // hmm_vma_fault holds mmap_lock throughout (no FAULT_FLAG_ALLOW_RETRY), so a userfault fails as well.
    const Fault fault = co_await handle_mm_fault(cpu, mm, slot, action.write, true);
    if (fault == Fault::sigbus || fault == Fault::userfault) co_return HmmPage{EFAULT};
    co_await cpu.step("hmm_range_fault: walk again");
  }
}

int hmm_snapshot(Cpu cpu, MmId mm, Slot slot, int device) {
  const Mm& m = cpu.world().mm[mm];
  const VmaPage& vma = m.vma[slot];
  const Pte& pte = m.pte[slot];
  const auto letter = [](char c) { return static_cast<int>(std::string_view(snapshot_alphabet).find(c)); };
  if (!vma.mapped() || !vma.read) return letter('!');
  const HmmAction action = hmm_vma_handle_pte(entry_of(cpu.world(), pte, device), pte.writable, false, {});
  if (action.kind != HmmAction::Kind::pfn) return letter('.');
  if (pte.kind == Pte::Kind::zero) return letter(pte.huge ? 'r' : 'z');  // is_zero_pfn knows only the small zero page
  if (pte.kind == Pte::Kind::device) return letter(action.write ? 'D' : 'd');
  return letter(action.write ? 'w' : 'r');
}

}  // namespace faultline::ref
