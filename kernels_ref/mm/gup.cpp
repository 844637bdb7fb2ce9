#include "kernels_ref/mm/gup.h"

#include <cerrno>

#include "kernels_ref/mm/stack.h"
#include "kernels_ref/mm/userfaultfd.h"

namespace faultline::ref {

void unpin_page(World& w, std::uint8_t& page) {
  const FrameId frame = page;
  page = none;
  --w.frame[frame].pins;
  put_frame(w, frame);
}

namespace {

// try_grab_folio.
std::uint8_t grab(World& w, FrameId frame, GupFlags flags) {
  if (flags.pins) ++w.frame[frame].pins;
  else get_ref(w, frame);
  return static_cast<std::uint8_t>(frame);
}

// gup_must_unshare (5.19): a pin for reading needs an exclusive page. Otherwise COW could replace the page under the pin.
bool must_unshare(Cpu cpu, const Pte& pte, GupFlags flags) {
  const Frame& frame = cpu.world().frame[pte.frame];
  return flags.pins && !flags.write && frame.kind == Frame::Kind::anon && !frame.exclusive && cpu.on(Rule::read_pin_unshares);
}

// Whether a walk takes the page that the entry maps.
bool can_follow(Cpu cpu, const Pte& pte, GupFlags flags) {
  if (pte.kind != Pte::Kind::page || pte.protnone) return false;
  if (flags.write) return pte.writable || !cpu.on(Rule::pin_breaks_cow);
  return !must_unshare(cpu, pte, flags);
}

// gup_fast takes no lock. So a pin checks the sequence that fork() raises while it write-protects. Returns the held
// page, or none: then the slow path decides.
Task<std::uint8_t> gup_fast(Cpu cpu, MmId mm, Slot slot, GupFlags flags) {
  World& w = cpu.world();
  co_await cpu.step("gup_fast");
  const bool checks = flags.pins && cpu.on(Rule::gup_fast_checks_fork);
  const std::uint8_t sequence = w.mm[mm].write_protect_seq;
  const Pte pte = w.mm[mm].pte[slot];
  if (!can_follow(cpu, pte, flags) || (checks && sequence % 2)) co_return none;
  std::uint8_t page = grab(w, pte.frame, flags);
  if (!checks) co_return page;
  co_await cpu.step("gup_fast: read_seqcount_retry");
  if (w.mm[mm].write_protect_seq != sequence) unpin_page(w, page);
  co_return page;
}

}  // namespace

Task<void> gup_expand_stack(Cpu cpu, MmId mm, Slot slot) {
  World& w = cpu.world();
  if (stack_above(*cpu.shape, w, mm, slot) < 0) co_return;
  if (w.gup_grows == none) w.gup_grows = static_cast<std::uint8_t>(co_await cpu.choose("find_extend_vma", 2));
  if (w.gup_grows) expand_stack(cpu, mm, slot);
}

Task<int> gup(Cpu cpu, MmId mm, Slot slot, GupFlags flags, std::uint8_t* page) {
  World& w = cpu.world();
  *page = co_await gup_fast(cpu, mm, slot, flags);
  if (*page != none) co_return 0;
  co_await cpu.until("__get_user_pages_locked: mmap_read_lock", [cpu, mm] { return can_read_lock(cpu.world(), mm); });
  ++w.mm[mm].readers;
  int error = 0;
  while (true) {
    const VmaPage& vma = w.mm[mm].vma[slot];
    const Pte& pte = w.mm[mm].pte[slot];
    if (!vma.mapped()) co_await gup_expand_stack(cpu, mm, slot);
    const bool allowed = flags.write ? vma.write || !cpu.on(Rule::pin_checks_write) : vma.read;
    if (!vma.mapped() || !allowed) {  // check_vma_flags
      error = EFAULT;
      break;
    }
    const bool unchecked = flags.write && pte.kind == Pte::Kind::page && !vma.write;  // only without pin_checks_write
    if (can_follow(cpu, pte, flags) || unchecked) {
      *page = grab(w, pte.frame, flags);
      break;
    }
    if (!flags.write && pte.kind == Pte::Kind::zero && !pte.protnone) {
      *page = zero_page;
      break;
    }
    const bool unshares = pte.kind == Pte::Kind::page && !pte.protnone && must_unshare(cpu, pte, flags);
    if (unshares) co_await unshare_page(cpu, mm, slot);
    Fault fault = Fault::done;
    if (!unshares) fault = co_await handle_mm_fault(cpu, mm, slot, flags.write, true);
    if (fault == Fault::userfault && flags.waits) {
      read_unlock(w, mm);
      const bool woken = co_await handle_userfault(cpu, slot);
      if (!woken) co_return EINTR;
      co_await cpu.until("__get_user_pages_locked: mmap_read_lock", [cpu, mm] { return can_read_lock(cpu.world(), mm); });
      ++w.mm[mm].readers;
      continue;
    }
    if (fault == Fault::sigbus || fault == Fault::userfault) error = EFAULT;
    if (error) break;
    co_await cpu.step("__get_user_pages: follow_page again");
  }
  read_unlock(w, mm);
  co_return error;
}

}  // namespace faultline::ref
