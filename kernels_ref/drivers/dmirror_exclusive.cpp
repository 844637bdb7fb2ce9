#include <algorithm>
#include <cerrno>

#include "kernels_ref/drivers/dmirror.h"
#include "kernels_ref/mm/exclusive.h"
#include "kernels_ref/mm/fork_exit.h"

namespace faultline::ref {

namespace {

// dmirror_exclusive and dmirror_atomic_map. False: not all of the pages are exclusive to the device.
Task<bool> make_exclusive_range(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  FramesOfRange pages;
  const int wanted = to - from + 1;
  const int found = co_await make_device_exclusive_range(cpu, mm, from, to, &pages);
  const int made = wanted - static_cast<int>(std::count(pages.begin(), pages.begin() + wanted, none));
  if (found == wanted) {
    co_await cpu.until("dmirror_atomic_map: mutex", [cpu, id] { return !cpu.world().mirror[id].locked; });
    for (int i = 0; i < wanted; ++i) {
      if (pages[i] == none) continue;
      // An madvise() may zap the page meanwhile. Nothing prevents that, and the driver does not check.
      if (w.mm[mm].pte[from + i].frame != pages[i]) cpu.meets(MetBug::stale_exclusive_entry);
      w.mirror[id].entry[from + i] = {.frame = pages[i], .atomic = 1};
    }
  }
  if (made) co_await cpu.step("dmirror_exclusive: unlock_page");
  for (int i = 0; i < found; ++i)
    if (pages[i] != none) {
      w.frame[pages[i]].locked = 0;
      put_ref(w, pages[i]);
    }
  co_return found == wanted&& made == wanted;
}

Task<Result> make_exclusive(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  co_await cpu.step("dmirror_exclusive");
  if (!get_file(cpu, id)) co_return failed(EBADF);
  Result result = failed(EINVAL);
  if (w.mm[mm].users > 0) {  // mmget_not_zero
    ++w.mm[mm].users;
    co_await read_lock(cpu, mm);
    result = co_await make_exclusive_range(cpu, id, from, to) ? ok() : failed(EBUSY);
    read_unlock(w, mm);
    co_await mmput(cpu, mm);
  }
  if (result.kind == Result::Kind::ok) {  // read back what the device has now
    co_await cpu.until("dmirror_do_read: mutex", [cpu, id] { return !cpu.world().mirror[id].locked; });
    for (Slot s = from; s <= to; ++s)
      if (!w.mirror[id].entry[s].valid()) result = failed(ENOENT);
  }
  co_await put_file(cpu, id);
  co_return result;
}

Task<Result> check_atomic(Cpu cpu, MirrorId id, Slot from, Slot to) {
  co_await cpu.step("dmirror_check_atomic");
  if (!get_file(cpu, id)) co_return failed(EBADF);
  Result result = ok();
  for (Slot s = from; s <= to && result.kind == Result::Kind::ok; ++s) {
    if (s > from) co_await cpu.step("dmirror_check_atomic");
    if (cpu.world().mirror[id].entry[s].atomic) result = failed(EPERM);
  }
  co_await put_file(cpu, id);
  co_return result;
}

}  // namespace

Task<Result> dmirror_exclusive(Cpu cpu, MirrorId id, Slot from, Slot to, bool check) {
  return check ? check_atomic(cpu, id, from, to) : make_exclusive(cpu, id, from, to);
}

}  // namespace faultline::ref
