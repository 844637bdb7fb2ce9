#include "kernels_ref/hmm.h"

#include <cerrno>
#include <string_view>

namespace faultline::ref {

Task<HmmPage> hmm_range_fault(Cpu cpu, MmId mm, Slot slot, bool write, int device) {
  World& w = cpu.world();
  while (true) {
    // mmu_interval_check_retry at the top of every walk.
    if (cpu.self().collided && cpu.on(Rule::hmm_checks_sequence)) co_return HmmPage{EBUSY};
    const VmaPage& vma = w.mm[mm].vma[slot];
    if (!vma.mapped()) co_return HmmPage{EFAULT};
    if (!vma.read && cpu.on(Rule::hmm_checks_read)) co_return HmmPage{EFAULT};
    const Pte& pte = w.mm[mm].pte[slot];
    const bool usable = (pte.kind == Pte::Kind::page && !pte.protnone) || pte.kind == Pte::Kind::zero;
    const bool writable = pte.kind == Pte::Kind::page && pte.writable;
    // An own device-private page is never faulted, even where a write was asked for and it is read-only.
    if (owns(w, pte, device)) co_return HmmPage{0, pte.frame, pte.writable != 0};
    if (usable && (!write || writable || !cpu.on(Rule::hmm_faults_for_write)))
      co_return HmmPage{0, pte.frame, writable};
    if (write && !vma.write && cpu.on(Rule::hmm_checks_write)) co_return HmmPage{EPERM};  // hmm_vma_fault
    if (co_await handle_mm_fault(cpu, mm, slot, write, true) == Fault::sigbus) co_return HmmPage{EFAULT};
    co_await cpu.step("hmm_range_fault: walk again");
  }
}

int hmm_snapshot(Cpu cpu, MmId mm, Slot slot, int device) {
  const Mm& m = cpu.world().mm[mm];
  const VmaPage& vma = m.vma[slot];
  const Pte& pte = m.pte[slot];
  const auto letter = [](char c) { return static_cast<int>(std::string_view(snapshot_alphabet).find(c)); };
  if (!vma.mapped() || !vma.read) return letter('!');
  switch (pte.kind) {
    case Pte::Kind::none:
    case Pte::Kind::migration:
    case Pte::Kind::exclusive: return letter('.');
    case Pte::Kind::zero: return letter('z');
    case Pte::Kind::device: return letter(!owns(cpu.world(), pte, device) ? '.' : pte.writable ? 'D' : 'd');
    case Pte::Kind::page: break;
  }
  return letter(pte.protnone ? '.' : pte.writable ? 'w' : 'r');
}

}  // namespace faultline::ref
