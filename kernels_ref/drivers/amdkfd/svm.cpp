#include "kernels_ref/drivers/amdkfd/svm.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "kernels_ref/drivers/amdkfd/migrate.h"
#include "kernels_ref/drivers/amdkfd/retry_fault.h"
#include "kernels_ref/mm/fork_exit.h"
#include "kernels_ref/mm/hmm.h"

namespace faultline::ref {

namespace {

// svm_range_map_to_gpu for pages of one VMA, with the VMA's permission. That includes pages in VRAM that the CPU may not
// write to, because hmm_range_fault() takes those as they are.
void map_to_gpus(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  for (Slot s = from; s <= to; ++s) {
    const Pte& pte = w.mm[mm_of(id)].pte[s];
    const std::uint8_t writable = w.mm[mm_of(id)].vma[s].write;
    w.mirror[id].entry[s] = {pte.kind == Pte::Kind::zero ? zero_page : pte.frame, writable};
  }
}

// amdgpu_hmm_range_get_pages for pages of one VMA, and mmu_interval_read_retry under the range's lock. Faults missing
// pages in, and breaks COW if the VMA is writable. Returns 0 or an errno.
Task<int> get_pages(Cpu cpu, MirrorId id, Slot from, Slot to) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  Svms& svms = w.svms[mm];
  bool again = true;
  while (again) {
    co_await cpu.until("amdgpu_hmm_range_get_pages: mmu_interval_read_begin",
                       [&invalidating = w.mm[mm].invalidating] { return invalidating == 0; });
    svms.validating = static_cast<std::uint8_t>(from);
    svms.collided = again = 0;
    for (Slot s = from; s <= to && !again; ++s) {
      const HmmPage page = co_await hmm_range_fault(cpu, mm, s, w.mm[mm].vma[s].write, device_of(id));
      if (page.error) co_return page.error;
      again = svms.collided;  // -EBUSY
    }
  }
  co_await cpu.step("svm_range_validate_and_map: svm_range_lock");
  bool split = false;  // by an munmap() meanwhile: the range has children
  for (Slot s = from; s <= to; ++s) split = split || svms.page[s].gone || (svms.page[s].head && !svms.page[s].notifier);
  if (svms.collided || split) co_return EAGAIN;
  if (reaches_ranges(cpu)) map_to_gpus(cpu, id, from, to);
  co_return 0;
}

}  // namespace

Task<int> svm_range_validate_and_map(Cpu cpu, MirrorId id, Slot from, Slot to, bool for_fault) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  Svms& svms = w.svms[mm];
  // With recoverable faults the driver maps a range that is in VRAM or was mapped before. Other ranges wait for a fault.
  if (xnack_enabled(cpu) && !for_fault && !svms.page[from].vram && !svms.page[from].mapped) co_return 0;
  int error = 0;
  for (Slot s = from; s <= to && !error;) {
    const Slot last = vma_end(cpu, mm, s, to);
    error = EFAULT;
    if (w.mm[mm].vma[s].mapped()) error = co_await get_pages(cpu, id, s, last);
    svms.validating = none;
    s = last + 1;
  }
  if (!error && reaches_ranges(cpu)) {  // 6.1 has unlocked the range by now: MetBug::late_mapping
    svms.late = 1;
    co_await cpu.step("svm_range_validate_and_map: mapped_to_gpu");
    svms.late = 0;
  }
  if (!error) each_page(svms, from, to, [](SvmPage& page) { page.mapped = 1; });
  co_return error;
}

namespace {

// svm_range_add: makes [from, to] consist of whole ranges. A range that is cut becomes clones, which nobody restores.
void add_ranges(Cpu cpu, Svms& svms, Slot from, Slot to) {
  for (const Slot s : {from, to}) {
    if (!svms.page[s].in) continue;
    const Slot first = range_first(svms, s), last = range_last(*cpu.shape, svms, s);
    const bool cut = first < from || last > to;
    split_range(svms, std::max(first, from));
    if (last > to) split_range(svms, to + 1);
    for (Slot p = first; p <= last && cut; ++p) {
      svms.page[p].invalid = 0;
      svms.page[p].notifier = svms.page[p].head;
    }
  }
  for (Slot s = from; s <= to; ++s) {
    SvmPage& page = svms.page[s];
    if (page.in) continue;
    page.head = page.notifier = s == from || !svms.page[s - 1].gone;
    page.in = page.gone = 1;  // marks it as new, until all are there
  }
  each_page(svms, from, to, [](SvmPage& page) { page.gone = 0; });
}

// svm_range_set_attr for one range, under its locks.
Task<int> update_range(Cpu cpu, MirrorId id, Slot first, Slot last, bool to_device) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  const bool migrates = to_device != static_cast<bool>(w.svms[mm].page[first].vram);  // svm_range_trigger_migration
  if (migrates && to_device) co_await svm_migrate_ram_to_vram(cpu, id, first, last);
  if (migrates && !to_device) {
    const bool found = co_await svm_migrate_vram_to_ram(cpu, id, mm, first, last);
    if (!found) co_return EFAULT;
  }
  if (migrates && !xnack_enabled(cpu) && w.svms[mm].page[first].mapped) co_return 0;  // restore_work maps it
  // Kernels differ in whether they map the range again when access was granted before.
  if (!migrates && xnack_enabled(cpu)) {
    const int maps = co_await cpu.choose("svm_range_apply_attrs: update_mapping", 2);
    if (!maps) co_return 0;
  }
  co_return co_await svm_range_validate_and_map(cpu, id, first, last, false);
}

Task<int> set_attributes(Cpu cpu, MirrorId id, Slot from, Slot to, bool to_device) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  Svms& svms = w.svms[mm];
  co_await cpu.until("svm_range_list_lock_and_flush_work",
                     [&w, &svms, mm] { return !svms.deferred && !svms.locked && can_write_lock(w, mm); });
  for (Slot s = from; s <= to; ++s)
    if (!w.mm[mm].vma[s].mapped()) co_return EFAULT;  // svm_range_is_valid
  svms.locked = 1;
  add_ranges(cpu, svms, from, to);
  ++w.mm[mm].readers;  // mmap_write_downgrade
  int ranges = 0, error = 0;
  for (Slot s = from; s <= to; ++s) ranges += svms.page[s].head;
  // Nobody promises an order of update_list.
  int backwards = 0;
  if (ranges > 1) backwards = co_await cpu.choose("svm_range_set_attr: update_list", 2);
  for (int i = 0; i < ranges && !error; ++i) {
    Slot first = from;
    for (int skip = backwards ? ranges - 1 - i : i; skip > 0; --skip) first = range_last(*cpu.shape, svms, first) + 1;
    error = co_await update_range(cpu, id, first, range_last(*cpu.shape, svms, first), to_device);
  }
  svms.locked = 0;
  read_unlock(w, mm);
  co_return error;
}

// If the driver returns EAGAIN, the target asks for KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, or the reverse: the driver takes a
// request for the same attribute for done, although nothing is mapped.
Task<int> give_access(Cpu cpu, MirrorId id, Slot slot, bool again) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  Svms& svms = w.svms[mm];
  co_await cpu.until("svm_range_list_lock_and_flush_work",
                     [&w, &svms, mm] { return !svms.deferred && !svms.locked && can_write_lock(w, mm); });
  if (!w.mm[mm].vma[slot].mapped()) co_return EFAULT;  // svm_range_is_valid
  if (svms.page[slot].in && !again) co_return 0;       // svm_range_is_same_attrs
  svms.locked = 1;
  add_ranges(cpu, svms, slot, slot);
  ++w.mm[mm].readers;  // mmap_write_downgrade
  const int error = co_await svm_range_validate_and_map(cpu, id, slot, slot, false);
  svms.locked = 0;
  read_unlock(w, mm);
  co_return error;
}

// Some thread runs, or has yet to start.
bool program_runs(Cpu cpu) {
  const auto& threads = cpu.shape->program->threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    const ThreadState::Life life = cpu.world().thread[t].life;
    const bool born = cpu.world().process[threads[t].process].life == ProcessState::Life::alive;
    if (life == ThreadState::Life::running || (life == ThreadState::Life::waiting && born)) return true;
  }
  return false;
}

// The queues run again, although the CPU has another page where the GPU has an entry: its range was cut meanwhile
// (svm_range_clone does not copy `invalid`), and nobody has mapped it.
void forget_unrestored(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  for (Slot s = 0; s < cpu.shape->slots(); ++s) {
    DeviceEntry& entry = w.mirror[mirror_id(0, mm)].entry[s];
    const Pte& pte = w.mm[mm].pte[s];
    const bool same = entry.frame == zero_page ? pte.kind == Pte::Kind::zero : entry.frame == pte.frame;
    if (!entry.valid() || (same && (!entry.writable || pte.writable || pte.kind == Pte::Kind::device))) continue;
    cpu.meets(MetBug::unrestored_range);
    entry = {};
  }
}

// svm_range_restore_work, with mmap_lock for writing.
Task<void> restore_work(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  Svms& svms = w.svms[mm];
  const bool last_words = !program_runs(cpu);
  w.mm[mm].writer = svms.locked = 1;
  svms.evicted_again = 0;
  int error = 0;
  for (Slot s = 0; s < cpu.shape->slots() && !error; ++s) {
    if (!svms.page[s].in || !svms.page[s].head || !svms.page[s].invalid) continue;
    const Slot last = range_last(*cpu.shape, svms, s);
    each_page(svms, s, last, [](SvmPage& page) { page.invalid = 0; });
    error = co_await svm_range_validate_and_map(cpu, mirror_id(0, mm), s, last, false);
    if (error) each_page(svms, s, last, [](SvmPage& page) { page.invalid = 1; });
  }
  svms.failed = error && last_words;
  // The queues may never run again.
  if (error && error != EAGAIN && !last_words && reaches_ranges(cpu)) cpu.meets(MetBug::unresolved_fault);
  if (!error && !svms.evicted_again) {
    svms.evicted = 0;
    forget_unrestored(cpu, mm);
    if (cpu.on(Rule::kfd_restores_queues)) tell(cpu, mm, 0, cpu.shape->slots() - 1, 'R');
  }
  svms.locked = 0;
  write_unlock(w, mm);
}

enum class Work { deferred, restore, repeat, forget, rest };

struct Job {
  Work work;
  MmId mm;
  Slot slot = 0;
};

// The `which`-th thing that some worker can do now. If there are fewer, `*count` is how many there are. A restore that
// fails after the program has ended fails for ever, so the worker may then rest.
Job nth_work(Cpu cpu, int which, int* count) {
  const World& w = cpu.world();
  *count = 0;
  const auto counts = [&] { return (*count)++ == which; };
  for (MmId mm = 0; mm < max_mms; ++mm) {
    const Svms& svms = w.svms[mm];
    if (svms.locked || !can_write_lock(w, mm)) continue;
    if (svms.deferred && counts()) return {Work::deferred, mm};
    for (Slot s = 0; s < cpu.shape->slots(); ++s) {
      if (!svms.page[s].repeats) continue;
      if (counts()) return {Work::repeat, mm, s};
      if (counts()) return {Work::forget, mm, s};
    }
    if (svms.deferred || !svms.evicted) continue;
    if (counts()) return {Work::restore, mm};
    if (svms.failed && !program_runs(cpu) && counts()) return {Work::rest, mm};
  }
  return {Work::rest, 0};
}

}  // namespace

Task<Result> svm_ioctl(Cpu cpu, MirrorId id, Slot from, Slot to, bool to_device) {
  co_await cpu.step("svm_ioctl");
  if (!holds_file(cpu, id)) co_return failed(EBADF);
  int error = EAGAIN;
  while (error == EAGAIN) error = co_await set_attributes(cpu, id, from, to, to_device);
  co_return error ? failed(error) : ok();
}

Task<int> svm_give_access(Cpu cpu, MirrorId id, Slot slot) {
  co_await cpu.step("svm_ioctl");
  int error = co_await give_access(cpu, id, slot, false);
  while (error == EAGAIN) error = co_await give_access(cpu, id, slot, true);
  co_return error;
}

Task<void> svm_workers(Cpu cpu) {
  while (true) {
    const int which = co_await cpu.until("kworker: svm_range_list", [cpu] {
      int count = 0;
      nth_work(cpu, -1, &count);
      return count;
    });
    int count = 0;
    const Job job = nth_work(cpu, which, &count);
    if (job.work == Work::rest) co_return;
    if (job.work == Work::repeat || job.work == Work::forget) cpu.world().svms[job.mm].page[job.slot].repeats = 0;
    if (job.work == Work::deferred) svm_deferred_list_work(cpu, job.mm);
    else if (job.work == Work::restore) co_await restore_work(cpu, job.mm);
    else if (job.work == Work::repeat) co_await repeated_fault(cpu, mirror_id(0, job.mm), job.slot);
  }
}

}  // namespace faultline::ref
