#include "kernels_ref/scenario/program_subject.h"

#include "harness/queries.h"
#include "kernels_ref/mm/driver_ops.h"
#include "kernels_ref/mm/reclaim.h"
#include "kernels_ref/scenario/thread.h"

namespace faultline::ref {

namespace {

// Outside an invalidation a device entry maps the same frame as the CPU's entry, and is writable only if the
// CPU's entry is. (While a page migrates, the migration keeps its device entry right; while amdkfd has stopped the queues, nobody
// uses an entry.)
bool device_entries_agree(const World& w, int slots, bool by_vma) {
  for (MirrorId id = 0; id < max_mirrors; ++id) {
    const MmId m = mm_of(id);
    if (!w.mirror[id].files || w.mm[m].invalidating || w.svms[m].evicted) continue;
    for (Slot s = 0; s < slots; ++s) {
      const DeviceEntry& e = w.mirror[id].entry[s];
      const Pte& pte = w.mm[m].pte[s];
      if (!e.valid() || pte.kind == Pte::Kind::migration) continue;
      if (e.frame == zero_page ? pte.kind != Pte::Kind::zero : pte.frame != e.frame) {
        // A migration is under way: the device's entry and the CPU's entry do not change in one step.
        if (pte.kind == Pte::Kind::device || (e.frame != zero_page && w.frame[e.frame].kind == Frame::Kind::device)) continue;
        return false;
      }
      if (e.writable && !pte.writable && !(by_vma && pte.kind == Pte::Kind::device)) return false;
      if (e.atomic && pte.kind != Pte::Kind::exclusive) return false;
    }
  }
  return true;
}

// After these bugs nothing is defined. (dead_mm_spin is none of them: kernels without that bug return -EFAULT.)
constexpr std::uint32_t undefined_bugs = ~(1u << static_cast<int>(MetBug::dead_mm_spin));

constexpr std::uint32_t bit(Broken broken) { return 1u << static_cast<int>(broken); }

}  // namespace

ProgramSubject::ProgramSubject(const Shape& shape) : shape_(shape), weather_(shape.huge_pages), works_(shape.driver->worker) {
  each<op::Madvise>(*shape.program,
                    [this](int, const op::Madvise& advise) { weather_ = weather_ || advise.advice == op::Advice::free; });
}

int ProgramSubject::threads() const { return program_threads() + (weather_ || works_); }

void ProgramSubject::start(void* world) const { ref::start(shape_, *new (world) World); }

Task<void> ProgramSubject::thread(void* world, Suspension* place, int thread) const {
  const Cpu cpu{&shape_, static_cast<World*>(world), place, thread};
  if (thread < program_threads()) return thread_main(cpu);
  return works_ ? shape_.driver->worker(cpu) : kernel_weather(cpu);
}

bool ProgramSubject::arrive(void* world) const {
  World& w = *static_cast<World*>(world);
  if (!device_entries_agree(w, shape_.slots(), shape_.driver->maps_private_by_vma)) w.broken |= bit(Broken::stale_device_entry);
  if (w.broken) broken_ |= w.broken;
  if (w.known_bugs) known_bugs_ |= w.known_bugs;
  return !(w.known_bugs & undefined_bugs) && !(w.broken & bit(Broken::tables_full));
}

bool ProgramSubject::unfinished(const void* world, int thread) const {
  return thread < program_threads() && static_cast<const World*>(world)->thread[thread].life == ThreadState::Life::running;
}

}  // namespace faultline::ref
