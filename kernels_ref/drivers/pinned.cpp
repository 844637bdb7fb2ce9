#include "kernels_ref/drivers/pinned.h"

#include <cerrno>

#include "kernels_ref/drivers/driver.h"
#include "kernels_ref/mm/fork_exit.h"
#include "kernels_ref/mm/gup.h"

namespace faultline::ref {

namespace {

void let_go(World& w, Mirror& mirror, Slot slot) {
  std::uint8_t& pin = mirror.pin[slot];
  if (!(mirror.reads >> slot & 1)) return unpin_page(w, pin);
  if (pin != zero_page) put_ref(w, pin);
  pin = none;
  mirror.reads &= ~(1u << slot);
}

// io_pin_pages. Since 6.5 shared pages of a file on a disk cannot be pinned for long (writable_file_mapping_allowed).
// Before that io_uring refused every file on a disk, after it had pinned the pages. A file without a disk is memory.
Task<int> io_pin_page(Cpu cpu, MmId mm, Slot slot, std::uint8_t* pin) {
  const VmaPage& vma = cpu.world().mm[mm].vma[slot];
  enum { in_memory, refused_late, refused };
  const bool tracked = vma.object != none && cpu.shape->tracks_dirty[vma.object];
  int way = in_memory;
  if (tracked) way = co_await cpu.choose("writable_file_mapping_allowed", 2 + !vma.is_private());
  if (way == refused) co_return EFAULT;
  World& w = cpu.world();
  // Before 6.10 it held mmap_lock (pin_user_pages). Since then it uses pin_user_pages_fast. A kernel does one or the other.
  if (w.mm[mm].vma[slot].uffd_armed() && w.pin_waits == none)
    w.pin_waits = static_cast<std::uint8_t>(co_await cpu.choose("io_pin_pages: pin_user_pages_fast", 2));
  const int error = co_await gup(cpu, mm, slot, {.write = true, .pins = true, .waits = w.pin_waits == 1}, pin);
  if (error || way == in_memory) co_return error;
  unpin_page(cpu.world(), *pin);
  co_return EOPNOTSUPP;
}

// fdget, then the executor's lock: a request waits while another request uses or changes the pins. The file may be
// closed in between. False: the file was not open.
Task<bool> lock_pins(Cpu cpu, MirrorId opener, const char* label) {
  const auto free = [cpu, opener] { return !cpu.world().mirror[opener].pinning; };
  // If nothing closes the file, fdget needs no step of its own.
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
    else if (reads) error = co_await gup(cpu, mm, s, {}, &mirror.pin[s]);
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

// io_import_fixed: finds the page of the registered buffer at the address. The copy belongs to the same step.
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

// IORING_OP_WRITE_FIXED, or tee() and a read of the pipe: the device reads memory.
Task<Result> load(Cpu cpu, MirrorId opener, Slot slot) { return access(cpu, opener, slot, false, {}); }

// IORING_OP_READ_FIXED: the device writes memory.
Task<Result> store(Cpu cpu, MirrorId opener, Slot slot, int value) {
  return access(cpu, opener, slot, true, {static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)});
}

Task<void> open(Cpu cpu, MirrorId opener) {
  co_await cpu.step("open");
  cpu.world().mirror[opener].files = 1;
}

Task<void> release(Cpu cpu, MirrorId opener) {
  leave_pins(cpu.world(), opener);
  cpu.world().mirror[opener] = Mirror{};
  co_return;
}

constexpr Driver pinned{.ops = {.mirrors = true,
                                .open = open,
                                .release = release,
                                .load = load,
                                .store = store,
                                .pin = pinned_pin,
                                .unpin = pinned_unpin}};

}  // namespace

void leave_pins(World& world, MirrorId opener) {
  Mirror& mirror = world.mirror[opener];
  for (Slot s = 0; s < max_slots; ++s) {
    if (mirror.pin[s] == none) continue;
    if (!(mirror.reads >> s & 1)) world.frame[mirror.pin[s]].lingering |= 1;
    let_go(world, mirror, s);
  }
}

template <>
const Driver& driver<DeviceClass::pinned>() {
  return pinned;
}

}  // namespace faultline::ref
