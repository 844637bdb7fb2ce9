#include "kernels_ref/drivers/amdkfd/retry_fault.h"

#include <algorithm>
#include <cerrno>

#include "kernels_ref/drivers/amdkfd/entry_access.h"
#include "kernels_ref/drivers/amdkfd/migrate.h"
#include "kernels_ref/drivers/amdkfd/svm.h"
#include "kernels_ref/mm/fork_exit.h"

namespace faultline::ref {

namespace {

// Whether some observe would show that a fault was answered twice.
bool repeats_show(const Shape& shape) {
  return std::ranges::any_of(shape.program->observes, [](const Observe& observe) {
    return observe.kind == Observe::Kind::events || observe.kind == Observe::Kind::where;
  });
}

// svm_range_create_unregistered_range: the new range is the part of the VMA around the address that no other range has.
// The other limit is a multiple of 2 MiB, and no region crosses one.
void create_unregistered_range(Cpu cpu, MmId mm, Slot slot) {
  Svms& svms = cpu.world().svms[mm];
  Slot first = slot, last = slot;
  if (cpu.on(Rule::kfd_fault_takes_vma)) {
    const Slot start = vma_start(cpu, mm, slot), end = vma_end(cpu, mm, slot, cpu.shape->slots() - 1);
    while (first > start && !svms.page[first - 1].in) --first;
    while (last < end && !svms.page[last + 1].in) ++last;
  }
  each_page(svms, first, last, [](SvmPage& page) { page.in = 1; });
  svms.page[first].head = svms.page[first].notifier = 1;
  if (last + 1 < cpu.shape->slots()) split_range(svms, last + 1);
}

// svm_range_skip_recover: whether the deferred work has yet to free the range, or to add it.
bool skip_recover(const Svms& svms, Slot slot) { return svms.page[slot].gone || !svms.page[range_first(svms, slot)].notifier; }

// svm_range_restore_pages, under its locks.
Task<int> restore_range(Cpu cpu, MirrorId id, Slot slot, bool write) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  Svms& svms = w.svms[mm];
  if (skip_recover(svms, slot)) co_return 0;
  const VmaPage& vma = w.mm[mm].vma[slot];
  if (!vma.mapped()) co_return 0;
  if (!vma.read || (write && !vma.write)) co_return EPERM;  // svm_fault_allowed
  const Slot first = range_first(svms, slot), last = range_last(*cpu.shape, svms, slot);
  if (!svms.page[slot].vram && cpu.on(Rule::kfd_fault_migrates)) co_await svm_migrate_ram_to_vram(cpu, id, first, last);
  const bool whole = cpu.on(Rule::kfd_fault_maps_range);
  const int error = co_await svm_range_validate_and_map(cpu, id, whole ? first : slot, whole ? last : slot, true);
  if (cpu.on(Rule::kfd_tells_faults)) tell(cpu, mm, slot, slot, 'F');
  co_return error == EAGAIN ? 0 : error;
}

// svm_range_restore_pages. Returns 0 or an errno.
Task<int> restore_pages(Cpu cpu, MirrorId id, Slot slot, bool write) {
  World& w = cpu.world();
  const MmId mm = mm_of(id);
  Svms& svms = w.svms[mm];
  // While deferred work is pending, faults are dropped: it drains them (drain_pagefaults) before it changes the ranges.
  const int drops = co_await cpu.until("svm_range_restore_pages: svms->lock", [&w, &svms, mm] {
    return !can_read_lock(w, mm) || svms.locked ? 0 : svms.deferred ? 2 : 1;
  });
  if (drops) co_return 0;
  if (!svms.page[slot].in) {
    co_await cpu.until("svm_range_restore_pages: mmap_write_lock",
                       [&w, &svms, mm] { return can_write_lock(w, mm) && !svms.locked; });
    if (!svms.page[slot].in) {
      if (!w.mm[mm].vma[slot].mapped()) co_return EFAULT;
      create_unregistered_range(cpu, mm, slot);
    }
  }
  ++w.mm[mm].readers;
  svms.locked = 1;
  // The driver skips a range that it has validated a moment ago.
  int skips = 0;
  if (serves(w.mirror[id].entry[slot], write)) skips = co_await cpu.choose("svm_range_restore_pages: already restored", 2);
  int error = 0;
  if (!skips) error = co_await restore_range(cpu, id, slot, write);
  svms.locked = 0;
  read_unlock(w, mm);
  co_return error;
}

Task<Result> access(Cpu cpu, MirrorId id, Slot slot, bool write, int value) {
  World& w = cpu.world();
  while (true) {
    co_await cpu.step("GPU");
    if (!holds_file(cpu, id)) co_return failed(EBADF);
    const DeviceEntry entry = w.mirror[id].entry[slot];
    if (serves(entry, write)) co_return access_by(cpu, entry, slot, write, value);
    cpu.self().retries = static_cast<std::uint8_t>(slot);
    const int error = co_await restore_pages(cpu, id, slot, write);
    if (error) {
      cpu.meets(MetBug::unresolved_fault);
      co_return failed(EFAULT);
    }
    if (serves(w.mirror[id].entry[slot], write) && repeats_show(*cpu.shape)) w.svms[mm_of(id)].page[slot].repeats = 1;
  }
}

// The target returns from an access when the driver is at work on none of its faults (SvmProcess::drain_faults).
Task<Result> access_and_drain(Cpu cpu, MirrorId id, Slot slot, bool write, int value) {
  const Result result = co_await access(cpu, id, slot, write, value);
  if (cpu.self().retries == none) co_return result;
  co_await cpu.step("GPU: faults are answered");
  cpu.self().retries = none;
  co_return result;
}

}  // namespace

Task<Result> gpu_load(Cpu cpu, MirrorId id, Slot slot) { return access_and_drain(cpu, id, slot, false, 0); }

Task<Result> gpu_store(Cpu cpu, MirrorId id, Slot slot, int value) { return access_and_drain(cpu, id, slot, true, value); }

bool answers_fault(const World& w, Slot first, Slot last) {
  return std::ranges::any_of(w.thread, [&](const ThreadState& thread) {
    return thread.retries != none && thread.retries >= first && thread.retries <= last;
  });
}

// If this fault cannot be resolved, nobody waits for it.
Task<void> repeated_fault(Cpu cpu, MirrorId id, Slot slot) { co_await restore_pages(cpu, id, slot, false); }

}  // namespace faultline::ref
