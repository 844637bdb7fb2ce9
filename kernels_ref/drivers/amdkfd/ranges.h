// drivers/gpu/drm/amd/amdkfd/kfd_svm.c: ranges of a process's memory, as the driver keeps them, what its notifier does
// with them, and what it tells of them (kfd_smi_events.c).
//
// One GPU, which every range lets in (KFD_IOCTL_SVM_ATTR_ACCESS). A range is shorter than its granularity of 512 pages
// and never crosses it, so that neither a fault of the CPU nor the limit of a range splits one. What a range's pages have in common is kept in each.
#pragma once

#include "kernels_ref/mm/notifier.h"

namespace faultline::ref {

inline bool xnack_enabled(Cpu cpu) { return cpu.shape->device_class != DeviceClass::preempt_and_restore; }
// Whether its accesses go through the ranges' own entries (Mirror::entry), and not through userptr memory.
inline bool faults_on_ranges(Cpu cpu) { return cpu.shape->device_class == DeviceClass::fault_and_migrate; }

// kfd_smi_event_...: told of pages [from, to] of the process, in the letters of PageHistory.
void tell(Cpu cpu, MmId mm, Slot from, Slot to, char letter);
void forget_events(Cpu cpu, MmId mm);

Slot range_first(const Svms& svms, Slot slot);
Slot range_last(const Shape& shape, const Svms& svms, Slot slot);
// From here on a range begins at `slot`, if there is one (svm_range_split).
void split_range(Svms& svms, Slot slot);
template <typename Change>
void each_page(Svms& svms, Slot from, Slot to, Change change) {
  for (Slot s = from; s <= to; ++s) change(svms.page[s]);
}

// svm_range_cpu_invalidate_pagetables, for each notifier that hears of [from, to].
void svm_invalidate(Cpu cpu, MmId mm, Slot from, Slot to, Notify);

// svm_range_deferred_list_work: what munmap() has cut off is freed, and what is left has notifiers of its own.
void svm_deferred_list_work(Cpu cpu, MmId mm);

}  // namespace faultline::ref
