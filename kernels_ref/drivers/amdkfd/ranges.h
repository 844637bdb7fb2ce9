// drivers/gpu/drm/amd/amdkfd/kfd_svm.c: the driver's ranges of a process's memory, what the driver's notifier does with
// them, and which events the driver reports (kfd_smi_events.c).
//
// There is one GPU, and it may access every range (KFD_IOCTL_SVM_ATTR_ACCESS). A range is shorter than its granularity of
// 512 pages and crosses no multiple of it. So neither a fault of the CPU nor the limit of a range splits a range. The state
// of a range is kept in each of its pages.
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

inline bool xnack_enabled(Cpu cpu) {
  return cpu.shape->device_class != DeviceClass::preempt_and_restore && cpu.shape->device_class != DeviceClass::map_and_restore;
}
// Whether the GPU's accesses go through the ranges' own entries (Mirror::entry), and not through userptr memory.
inline bool reaches_ranges(Cpu cpu) {
  return cpu.shape->device_class == DeviceClass::fault_and_migrate || cpu.shape->device_class == DeviceClass::map_and_restore;
}

// kfd_smi_event_...: reports an event for pages [from, to] of the process. `letter` is one of PageHistory.
void tell(Cpu cpu, MmId mm, Slot from, Slot to, char letter);
void forget_events(Cpu cpu, MmId mm);

Slot range_first(const Svms& svms, Slot slot);
Slot range_last(const Shape& shape, const Svms& svms, Slot slot);
// svm_range_split: makes a range begin at `slot`, if `slot` is in one.
void split_range(Svms& svms, Slot slot);
template <typename Change>
void each_page(Svms& svms, Slot from, Slot to, Change change) {
  for (Slot s = from; s <= to; ++s) change(svms.page[s]);
}

// svm_range_cpu_invalidate_pagetables, for each notifier that overlaps [from, to].
void svm_invalidate(Cpu cpu, MmId mm, Slot from, Slot to, Notify);

// svm_range_deferred_list_work: frees what munmap() has cut off, and gives each remaining range its own notifier.
void svm_deferred_list_work(Cpu cpu, MmId mm);

}  // namespace faultline::ref
