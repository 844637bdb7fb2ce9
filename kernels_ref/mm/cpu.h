// One modelled thread's view of the machine: the World, its own suspension, and the rules in force.
#pragma once

#include <array>

#include "harness/spans.h"
#include "kernels_ref/engine/task.h"
#include "kernels_ref/mm/rules.h"
#include "kernels_ref/mm/world.h"

namespace faultline::ref {

struct DriverOps;

// What stays the same during an exploration.
struct Shape {
  explicit Shape(const Program& p) : program(&p), spans(p) {}

  const Program* program;
  DeviceClass device_class = DeviceClass::recoverable;
  const DriverOps* driver = nullptr;  // of device_class
  Rules dropped;
  Spans spans;
  bool huge_pages = false;  // huge pages may occur (may_have_huge_pages)
  bool accounts = true;     // VM_ACCOUNT is set where the kernel sets it: no mapping is MAP_NORESERVE
  std::array<std::uint8_t, max_threads> first_result{};  // index into World::result
  std::array<bool, max_mms> mortal{};                    // a statement can end the process (exit, kill, a fault of a device)
  bool cuts_files = false;                               // some statement takes pages from an object (truncate, madvise remove)
  std::array<bool, max_objects> on_disk{};               // files that may have a disk (others are tmpfs)
  std::array<bool, max_objects> tracks_dirty{};          // ... and a device mirrors page tables, so that it sees permissions
  std::array<std::uint8_t, max_mms> opens_first{};       // bit per device: opened before its threads start
  bool closes = false;                                   // some statement closes a device

  int slots() const { return spans.count(); }
  // The next span of the same region, or -1: regions do not touch.
  Slot after(Slot s) const { return s + 1 < slots() && region(s + 1) == region(s) ? s + 1 : -1; }
  Slot before(Slot s) const { return s > 0 && region(s - 1) == region(s) ? s - 1 : -1; }
  // A span's first page in its region, and the page behind its last one.
  int page(Slot s) const { return spans.first(s).page; }
  int page_behind(Slot s) const { return after(s) >= 0 ? page(s + 1) : program->regions[region(s)].pages; }
  // vm_pgoff of anonymous memory that is first mapped at `s`. A stack that was moved and then grows down needs smaller ones.
  std::uint8_t pgoff(Slot s) const { return static_cast<std::uint8_t>(max_slots + s + region(s)); }
  int region(Slot s) const { return spans.first(s).region; }
};

struct Cpu {
  const Shape* shape;
  World* memory;
  Suspension* place;
  std::int64_t thread;  // 64 bits: no padding, which would be copied too and make equal states differ

  World& world() const { return *memory; }
  const Thread& program_thread() const { return shape->program->threads[thread]; }
  int process() const { return program_thread().process; }
  ThreadState& self() const { return world().thread[thread]; }
  ProcessState& own_process() const { return world().process[process()]; }
  const DriverOps& driver() const { return *shape->driver; }
  bool on(Rule rule) const { return !shape->dropped[static_cast<int>(rule)]; }
  void meets(MetBug bug) const { world().known_bugs |= 1u << static_cast<int>(bug); }
  void breaks(Broken broken) const { world().broken |= 1u << static_cast<int>(broken); }

  Step step(const char* label) const { return {place, label}; }
  template <typename Condition>
  Until<Condition> until(const char* label, Condition condition) const {
    return {place, label, condition};
  }
  // A step that the kernel may take in several ways.
  auto choose(const char* label, int ways) const {
    return until(label, [ways] { return ways; });
  }
};

}  // namespace faultline::ref
