// What a device's driver does when a thread calls it, and when mm calls it back. Each device class has a constant table of
// functions, as in the kernel (file_operations, mmu_interval_notifier_ops, dev_pagemap_ops, a work item).
//
// drivers/driver.cpp finds the table of a device class. A Shape points to it, so that no state has to hold it.
#pragma once

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

enum class Fault : std::uint8_t;
enum class Notify : std::uint8_t;

struct DriverOps {
  // An open file of the device is a Mirror, with its own entries or pins. If false, the device uses the CPU's page tables.
  bool mirrors = false;
  // hmm_range::dev_private_owner is set: hmm_range_fault() leaves a page in the device's own memory there.
  bool owns_private_pages = false;
  // Entries for pages in the device's memory are as writable as the VMA, whatever the CPU's entry says.
  bool maps_private_by_vma = false;
  // An access that the kernel cannot resolve ends the process (force_sig_fault in a thread of the driver).
  bool faults_kill = false;

  // file_operations. `open` runs before there is a descriptor, `release` when the last one is gone.
  Task<void> (*open)(Cpu, MirrorId) = nullptr;
  Task<void> (*release)(Cpu, MirrorId) = nullptr;

  // The device's accesses and requests. Each checks whether the caller holds the descriptor. Null: ENOTSUP.
  Task<Result> (*load)(Cpu, MirrorId, Slot) = nullptr;
  Task<Result> (*store)(Cpu, MirrorId, Slot, int value) = nullptr;
  Task<Result> (*migrate)(Cpu, MirrorId, Slot from, Slot to, bool to_device) = nullptr;
  Task<Result> (*snapshot)(Cpu, MirrorId, Slot from, Slot to) = nullptr;
  Task<Result> (*pin)(Cpu, MirrorId, Slot from, Slot to, bool reads) = nullptr;
  Task<Result> (*unpin)(Cpu, MirrorId, Slot from, Slot to) = nullptr;
  Task<Result> (*exclusive)(Cpu, MirrorId, Slot from, Slot to, bool check) = nullptr;

  // mmu_interval_notifier_ops::invalidate of the subscription that an open file has over its whole mm. Null: none.
  void (*invalidate)(Cpu, MirrorId, Slot from, Slot to) = nullptr;
  // The same for the driver's subscriptions over its own ranges. One call is for all that [from, to] overlaps. Null: none.
  void (*invalidate_ranges)(Cpu, MmId, Slot from, Slot to, Notify) = nullptr;

  // dev_pagemap_ops::migrate_to_ram, under mmap_lock for read: the CPU faulted on a page in the device's memory.
  Task<Fault> (*migrate_to_ram)(Cpu, MmId, Slot, FrameId page) = nullptr;

  // The driver's work items. They run beside the program's threads until there is nothing to do. Null: none.
  Task<void> (*worker)(Cpu) = nullptr;
};

}  // namespace faultline::ref
