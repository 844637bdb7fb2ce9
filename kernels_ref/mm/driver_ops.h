// What a device's driver does where a thread asks it, or mm calls it back: a constant table of functions for each
// device class, as the kernel has them (file_operations, mmu_interval_notifier_ops, dev_pagemap_ops, a work item).
//
// The tables are in drivers/driver.cpp. A Shape points to that of its device class, so that no state holds it.
#pragma once

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

enum class Fault : std::uint8_t;
enum class Notify : std::uint8_t;

struct DriverOps {
  // Its open file is a Mirror, with entries or pins of its own. Else the device goes through the CPU's page tables.
  bool mirrors = false;
  // hmm_range::dev_private_owner is set: what hmm_range_fault() finds in the device's own memory stays there.
  bool owns_private_pages = false;
  // Entries for pages in its memory are as writable as the VMA, whatever the CPU's entry says.
  bool maps_private_by_vma = false;
  // An access that the kernel cannot resolve ends the process (force_sig_fault in a thread of the driver).
  bool faults_kill = false;

  // file_operations. `open` has no descriptor to look for; with `release` the last one is gone.
  Task<void> (*open)(Cpu, MirrorId) = nullptr;
  Task<void> (*release)(Cpu, MirrorId) = nullptr;

  // The device's accesses and requests, through a descriptor which the caller may hold or not. Null: ENOTSUP.
  Task<Result> (*load)(Cpu, MirrorId, Slot) = nullptr;
  Task<Result> (*store)(Cpu, MirrorId, Slot, int value) = nullptr;
  Task<Result> (*migrate)(Cpu, MirrorId, Slot from, Slot to, bool to_device) = nullptr;
  Task<Result> (*snapshot)(Cpu, MirrorId, Slot from, Slot to) = nullptr;
  Task<Result> (*pin)(Cpu, MirrorId, Slot from, Slot to, bool reads) = nullptr;
  Task<Result> (*unpin)(Cpu, MirrorId, Slot from, Slot to) = nullptr;
  Task<Result> (*exclusive)(Cpu, MirrorId, Slot from, Slot to, bool check) = nullptr;

  // mmu_interval_notifier_ops::invalidate of the subscription that an open file has over its whole mm. Null: none.
  void (*invalidate)(Cpu, MirrorId, Slot from, Slot to) = nullptr;
  // ... of the subscriptions that the driver has for ranges of its own, all that [from, to] reaches. Null: none.
  void (*invalidate_ranges)(Cpu, MmId, Slot from, Slot to, Notify) = nullptr;

  // dev_pagemap_ops::migrate_to_ram, under mmap_lock for read: the CPU faulted on a page in the device's memory.
  Task<Fault> (*migrate_to_ram)(Cpu, MmId, Slot, FrameId page) = nullptr;

  // What the kernel runs for the driver beside the program's threads, until there is nothing to do. Null: nothing.
  Task<void> (*worker)(Cpu) = nullptr;
};

}  // namespace faultline::ref
