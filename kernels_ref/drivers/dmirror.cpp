#include "kernels_ref/drivers/dmirror.h"

#include <cerrno>
#include <string_view>

#include "kernels_ref/drivers/dmirror_memory.h"
#include "kernels_ref/drivers/driver.h"
#include "kernels_ref/drivers/pinned.h"
#include "kernels_ref/mm/fork_exit.h"
#include "kernels_ref/mm/hmm.h"
#include "kernels_ref/mm/huge_memory.h"

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
    // A migration back does not take this mutex, so the copy may come too late (MetBug::freed_private_copy).
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

// dmirror_range_fault and dmirror_do_fault for one page: fills the device's entry. Returns 0 or an errno.
Task<int> fault_entry(Cpu cpu, MirrorId id, Slot slot, bool write) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  while (true) {
    co_await cpu.until("mmu_interval_read_begin, mmap_read_lock",
                       [cpu, id, mm] { return can_begin_read(cpu, id) && can_read_lock(cpu.world(), mm); });
    begin_read(cpu, id, slot);
    ++w.mm[mm].readers;
    const int owner = cpu.driver().owns_private_pages ? device_of(id) : -1;
    const HmmPage page = co_await hmm_range_fault(cpu, mm, slot, write, owner);
    cpu.self().moved = 0;
    const bool lost = page.own_private && w.frame[page.frame].entry_lost;
    read_unlock(w, mm);
    if (page.error == EBUSY) continue;
    if (page.error) co_return page.error;
    co_await cpu.until("dmirror_range_fault: mutex", [cpu, id] { return mutex_free(cpu, id); });
    if (cpu.self().collided && cpu.on(Rule::device_rechecks)) continue;  // mmu_interval_read_retry
    if (page.own_private) {
      if (lost) cpu.meets(MetBug::miscounted_private_page);
      else if (!write || page.writable) cpu.meets(MetBug::erased_private_read);
      else cpu.meets(MetBug::read_only_private_write);
      co_return EFAULT;
    }
    if (cpu.self().moved) cpu.meets(MetBug::unstamped_migration);
    if (write && !page.writable && cpu.on(Rule::hmm_faults_for_write)) co_return EFAULT;
    w.mirror[id].entry[slot] = {page.frame == none ? zero_page : page.frame, page.writable};
    co_return 0;
  }
}

// The loop of dmirror_read and dmirror_write: copies; if the entry is missing, faults and starts over.
Task<Result> access(Cpu cpu, MirrorId opener, Slot slot, bool write, int value) {
  World& w = cpu.world();
  Result result{.kind = write ? Result::Kind::ok : Result::Kind::contents};
  const Contents stored{static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)};
  // If nothing closes the file, fdget needs no step of its own.
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
      cpu.meets(MetBug::dead_mm_spin);
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

}  // namespace

Task<void> dmirror_release(Cpu cpu, MirrorId opener) {
  leave_pins(cpu.world(), opener);
  co_await remove_notifier(cpu, opener);
  if (cpu.on(Rule::close_evicts)) co_await dmirror_device_remove_chunks(cpu, device_of(opener));
}

Task<Result> dmirror_read(Cpu cpu, MirrorId opener, Slot slot) { return access(cpu, opener, slot, false, 0); }

Task<Result> dmirror_write(Cpu cpu, MirrorId opener, Slot slot, int value) { return access(cpu, opener, slot, true, value); }

void dmirror_interval_invalidate(Cpu cpu, MirrorId id, Slot from, Slot to) {
  if (!cpu.on(Rule::callback_erases)) return;
  // xa_for_each_range takes an inclusive end, but the driver passes an exclusive one. So it erases one page too many.
  const Slot one_more = cpu.shape->after(to);
  auto& entry = cpu.world().mirror[id].entry;
  for (Slot s = from; s <= (one_more >= 0 ? one_more : to); ++s) entry[s] = {};
}

// A migration replaces the entry of each page, and puts it back when migrate_vma_check_page finds that somebody holds the page. Until
// then hmm_range_fault() sees no page.
bool may_be_collected(const World& w, const Pte& pte) {
  return w.page_lockers > 0 && pte.kind == Pte::Kind::page && folio_held(w, pte.frame);
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
      std::uint64_t letter = static_cast<std::uint64_t>(hmm_snapshot(cpu, mm_of(opener), s, device_of(opener)));
      int collected = 0;
      if (may_be_collected(w, w.mm[mm_of(opener)].pte[s])) collected = co_await cpu.choose("migrate_vma_collect_pmd", 2);
      if (collected) letter = std::string_view(snapshot_alphabet).find('.');
      result.letters |= letter << (4 * (s - from));
    }
    read_unlock(w, mm_of(opener));
    co_await mmput(cpu, mm_of(opener));
  }
  co_await put_file(cpu, opener);
  co_return result;
}

namespace {

constexpr Driver dmirror{.ops = {.mirrors = true,
                                 .owns_private_pages = true,
                                 .open = insert_notifier,
                                 .release = dmirror_release,
                                 .load = dmirror_read,
                                 .store = dmirror_write,
                                 .migrate = dmirror_migrate,
                                 .snapshot = dmirror_snapshot,
                                 .pin = pinned_pin,
                                 .unpin = pinned_unpin,
                                 .exclusive = dmirror_exclusive,
                                 .invalidate = dmirror_interval_invalidate,
                                 .migrate_to_ram = dmirror_devmem_fault}};

}  // namespace

template <>
const Driver& driver<DeviceClass::recoverable>() {
  return dmirror;
}

}  // namespace faultline::ref
