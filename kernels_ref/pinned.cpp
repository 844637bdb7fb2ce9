#include "kernels_ref/pinned.h"

#include <cerrno>

#include "kernels_ref/process.h"

namespace faultline::ref {

namespace {

void unpin_page(World& w, std::uint8_t& pin) {
  const FrameId frame = pin;
  pin = none;
  --w.frame[frame].pins;
  put_frame(w, frame);
}

void let_go(World& w, Mirror& mirror, Slot slot) {
  std::uint8_t& pin = mirror.pin[slot];
  if (!(mirror.reads >> slot & 1)) return unpin_page(w, pin);
  if (pin != zero_page) put_ref(w, pin);
  pin = none;
  mirror.reads &= ~(1u << slot);
}

// Whether a FOLL_WRITE walk takes the page that the entry maps.
bool can_follow(Cpu cpu, const Pte& pte) {
  return pte.kind == Pte::Kind::page && !pte.protnone && (pte.writable || !cpu.on(Rule::pin_breaks_cow));
}

// gup_fast: takes no lock, so that it looks at the sequence that fork() raises while it write-protects. Gives
// the page, pinned, or none: then the slow way decides.
Task<std::uint8_t> gup_fast(Cpu cpu, MmId mm, Slot slot) {
  World& w = cpu.world();
  co_await cpu.step("gup_fast");
  const bool checks = cpu.on(Rule::gup_fast_checks_fork);
  const std::uint8_t sequence = w.mm[mm].write_protect_seq;
  const Pte pte = w.mm[mm].pte[slot];
  if (!can_follow(cpu, pte) || (checks && sequence % 2)) co_return none;
  std::uint8_t pin = pte.frame;
  ++w.frame[pin].pins;
  if (!checks) co_return pin;
  co_await cpu.step("gup_fast: read_seqcount_retry");
  if (w.mm[mm].write_protect_seq != sequence) unpin_page(w, pin);
  co_return pin;
}

// pin_user_pages_fast of one page, with FOLL_WRITE and FOLL_LONGTERM. Gives an errno.
Task<int> pin_user_page(Cpu cpu, MmId mm, Slot slot, std::uint8_t* pin) {
  World& w = cpu.world();
  *pin = co_await gup_fast(cpu, mm, slot);
  if (*pin != none) co_return 0;
  co_await cpu.until("__gup_longterm_locked: mmap_read_lock",
                     [cpu, mm] { return can_read_lock(cpu.world(), mm); });
  ++w.mm[mm].readers;
  int error = 0;
  while (true) {
    const VmaPage& vma = w.mm[mm].vma[slot];
    const Pte& pte = w.mm[mm].pte[slot];
    if (!vma.mapped() || (!vma.write && cpu.on(Rule::pin_checks_write))) {  // check_vma_flags
      error = EFAULT;
      break;
    }
    const bool unchecked = pte.kind == Pte::Kind::page && !vma.write;  // where the rule for it is dropped
    if (can_follow(cpu, pte) || unchecked) {
      *pin = pte.frame;
      ++w.frame[pte.frame].pins;
      break;
    }
    if (co_await handle_mm_fault(cpu, mm, slot, true, true) == Fault::sigbus) {
      error = EFAULT;
      break;
    }
    co_await cpu.step("__get_user_pages: follow_page again");
  }
  read_unlock(w, mm);
  co_return error;
}

// io_pin_pages. Shared pages of a file with a disk cannot be pinned for long (writable_file_mapping_allowed, since
// 6.5); before that io_uring refused every file with one, when it had the pages. A file without a disk is memory.
Task<int> io_pin_page(Cpu cpu, MmId mm, Slot slot, std::uint8_t* pin) {
  const VmaPage& vma = cpu.world().mm[mm].vma[slot];
  enum { in_memory, refused_late, refused };
  const bool tracked = vma.object != none && cpu.shape->tracks_dirty[vma.object];
  const int way = tracked ? co_await cpu.choose("writable_file_mapping_allowed", 2 + !vma.is_private()) : in_memory;
  if (way == refused) co_return EFAULT;
  const int error = co_await pin_user_page(cpu, mm, slot, pin);
  if (error || way == in_memory) co_return error;
  unpin_page(cpu.world(), *pin);
  co_return EOPNOTSUPP;
}

// get_user_pages_fast of one page, with FOLL_GET: it says nothing to fork(). Gives an errno.
Task<int> get_user_page(Cpu cpu, MmId mm, Slot slot, std::uint8_t* pin) {
  World& w = cpu.world();
  const Pte& pte = w.mm[mm].pte[slot];
  const auto page = [&pte] { return pte.kind == Pte::Kind::page && !pte.protnone; };
  co_await cpu.step("gup_fast");
  int error = 0;
  if (!page()) {
    co_await cpu.until("__get_user_pages_locked: mmap_read_lock",
                       [cpu, mm] { return can_read_lock(cpu.world(), mm); });
    ++w.mm[mm].readers;
    while (true) {
      const VmaPage& vma = w.mm[mm].vma[slot];
      if (!vma.mapped() || !vma.read) error = EFAULT;  // check_vma_flags
      if (error || page() || (pte.kind == Pte::Kind::zero && !pte.protnone)) break;
      if (co_await handle_mm_fault(cpu, mm, slot, false, true) == Fault::sigbus) error = EFAULT;
      co_await cpu.step("__get_user_pages: follow_page again");
    }
    read_unlock(w, mm);
  }
  if (error) co_return error;
  *pin = page() ? pte.frame : zero_page;
  if (page()) get_ref(w, pte.frame);
  co_return 0;
}

// fdget, then the executor's lock: a request waits while a pin is being made or taken away. The file may be
// closed in between. False: it was not open.
Task<bool> lock_pins(Cpu cpu, MirrorId opener, const char* label) {
  const auto free = [cpu, opener] { return !cpu.world().mirror[opener].pinning; };
  // Where nothing closes the file, getting it belongs to the step that follows.
  if (cpu.shape->closes) co_await cpu.step("fdget");
  else co_await cpu.until(label, free);
  if (!get_file(cpu, opener)) co_return false;
  if (cpu.shape->closes) co_await cpu.until(label, free);
  cpu.world().mirror[opener].pinning = 1;
  co_return true;
}

Task<void> unlock_pins(Cpu cpu, MirrorId opener) {
  cpu.world().mirror[opener].pinning = 0;
  co_await put_file(cpu, opener);
}

}  // namespace

Task<Result> pinned_pin(Cpu cpu, MirrorId opener, Slot from, Slot to, bool reads) {
  if (!co_await lock_pins(cpu, opener, "io_uring_register: buffers")) co_return failed(EBADF);
  World& w = cpu.world();
  Mirror& mirror = w.mirror[opener];
  const MmId mm = cpu.process();
  int error = 0;
  Slot s = from;
  for (; s <= to; ++s) {
    if (mirror.pin[s] != none) error = EBUSY;
    else if (reads) error = co_await get_user_page(cpu, mm, s, &mirror.pin[s]);
    else error = co_await io_pin_page(cpu, mm, s, &mirror.pin[s]);
    if (error) break;
    if (reads) mirror.reads |= 1u << s;
  }
  if (error)
    while (--s >= from) let_go(w, mirror, s);
  co_await unlock_pins(cpu, opener);
  co_return error ? failed(error) : ok();
}

Task<Result> pinned_unpin(Cpu cpu, MirrorId opener, Slot from, Slot to) {
  if (!co_await lock_pins(cpu, opener, "io_uring_register: unregister buffers")) co_return failed(EBADF);
  World& w = cpu.world();
  Mirror& mirror = w.mirror[opener];
  Result result = ok();
  for (Slot s = from; s <= to; ++s) {
    if (s > from) co_await cpu.step("io_uring_register: unregister buffers");
    if (mirror.pin[s] == none) result = failed(ENXIO);
    else if (cpu.on(Rule::unpin_lets_go)) let_go(w, mirror, s);
    else mirror.pin[s] = none;
  }
  co_await unlock_pins(cpu, opener);
  co_return result;
}

namespace {

// io_import_fixed: the page of a buffer that the address is in. The copy belongs to the same step.
Task<Result> access(Cpu cpu, MirrorId opener, Slot slot, bool write, Contents stored) {
  if (!co_await lock_pins(cpu, opener, "io_uring: fixed buffer")) co_return failed(EBADF);
  World& w = cpu.world();
  Result result = failed(EFAULT);
  const std::uint8_t pin = w.mirror[opener].pin[slot];
  const bool reads = w.mirror[opener].reads >> slot & 1;
  if (pin == none || (write && reads)) {
    // -EFAULT: not in a buffer that is registered
  } else if (pin == zero_page) {
    result = {.kind = Result::Kind::contents};
  } else {
    Frame& frame = w.frame[pin];
    if (frame.kind == Frame::Kind::free) cpu.breaks(Broken::use_after_free);
    result = write ? ok() : Result{.kind = Result::Kind::contents, .contents = frame.contents};
    if (write) frame.contents = stored;
  }
  co_await unlock_pins(cpu, opener);
  co_return result;
}

}  // namespace

Task<Result> pinned_load(Cpu cpu, MirrorId opener, Slot slot) { return access(cpu, opener, slot, false, {}); }

Task<Result> pinned_store(Cpu cpu, MirrorId opener, Slot slot, int value) {
  return access(cpu, opener, slot, true, {static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)});
}

void leave_pins(World& world, MirrorId opener) {
  Mirror& mirror = world.mirror[opener];
  for (Slot s = 0; s < max_slots; ++s) {
    if (mirror.pin[s] == none) continue;
    if (!(mirror.reads >> s & 1)) world.frame[mirror.pin[s]].lingering = 1;
    let_go(world, mirror, s);
  }
}

}  // namespace faultline::ref
