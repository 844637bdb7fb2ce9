#include "kernels_ref/mm/direct_io.h"

#include <cerrno>

#include "kernels_ref/mm/gup.h"

namespace faultline::ref {

namespace {

// Before Linux 6.5 bio_iov_iter_get_pages took plain references, which fork() does not see. Since then it takes pins
// (iov_iter_extract_pages). A kernel does one or the other, always.
Task<bool> takes_pins(Cpu cpu) {
  if (cpu.world().direct_io == none)
    cpu.world().direct_io = static_cast<std::uint8_t>(co_await cpu.choose("bio_iov_iter_get_pages", 2));
  co_return cpu.world().direct_io == 1;
}

// bio_release_pages. The thread may be woken before this runs, so the page may stay held a little longer.
void release(World& w, std::uint8_t page, bool pinned) {
  w.frame[page].lingering |= pinned ? 1 : 2;
  if (pinned) unpin_page(w, page);
  else put_ref(w, page);
}

// bio_check_pages_dirty: a dirty page is no longer free to be reclaimed (MADV_FREE), in any mapping.
void set_page_dirty(World& w, FrameId page) {
  for (Mm& mm : w.mm)
    for (Pte& pte : mm.pte)
      if (pte.kind == Pte::Kind::page && pte.frame == page) pte.lazyfree = 0;
}

// Takes the page into `*page` and waits for the device. The device accesses the page in the step in which this returns.
// Returns 0 or an errno.
Task<int> transfer(Cpu cpu, Slot slot, GupFlags flags, std::uint8_t* page) {
  World& w = cpu.world();
  if (const int error = co_await gup(cpu, cpu.process(), slot, flags, page)) co_return error;
  if (*page == zero_page) co_return 0;
  if (!cpu.on(Rule::direct_io_holds_page)) release(w, *page, flags.pins);
  co_await cpu.step("iomap_dio_bio_end_io");
  if (w.frame[*page].kind == Frame::Kind::free) cpu.breaks(Broken::use_after_free);
  co_return 0;
}

}  // namespace

Task<Result> direct_read(Cpu cpu, Slot slot, int value) {
  World& w = cpu.world();
  const GupFlags flags{.write = true, .pins = co_await takes_pins(cpu)};
  std::uint8_t page = none;
  ++w.page_lockers;  // bio_set_pages_dirty: set_page_dirty_lock
  const int error = co_await transfer(cpu, slot, flags, &page);
  --w.page_lockers;
  if (error) co_return failed(error);
  w.frame[page].contents = {static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)};
  if (cpu.on(Rule::direct_read_dirties)) set_page_dirty(w, page);
  if (cpu.on(Rule::direct_io_holds_page)) release(w, page, flags.pins);
  co_return ok();
}

Task<Result> direct_write(Cpu cpu, Slot slot) {
  World& w = cpu.world();
  const GupFlags flags{.pins = co_await takes_pins(cpu)};
  std::uint8_t page = none;
  if (const int error = co_await transfer(cpu, slot, flags, &page)) co_return failed(error);
  Result result{.kind = Result::Kind::contents};
  if (page == zero_page) co_return result;
  result.contents = w.frame[page].contents;
  if (cpu.on(Rule::direct_io_holds_page)) release(w, page, flags.pins);
  co_return result;
}

}  // namespace faultline::ref
