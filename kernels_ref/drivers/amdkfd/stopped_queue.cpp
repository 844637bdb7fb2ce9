#include "kernels_ref/drivers/amdkfd/stopped_queue.h"

#include <cerrno>

#include "kernels_ref/drivers/amdkfd/entry_access.h"
#include "kernels_ref/drivers/amdkfd/svm.h"
#include "kernels_ref/mm/fork_exit.h"

namespace faultline::ref {

namespace {

Task<Result> access(Cpu cpu, MirrorId id, Slot slot, bool write, int value) {
  if (const int error = co_await svm_give_access(cpu, id, slot)) co_return failed(error);
  const Svms& svms = cpu.world().svms[mm_of(id)];
  const bool stops = cpu.on(Rule::kfd_stops_queues);
  co_await cpu.until("GPU: the queue runs", [&svms, stops] { return !stops || !svms.evicted; });
  if (!holds_file(cpu, id)) co_return failed(EBADF);
  const DeviceEntry entry = cpu.world().mirror[id].entry[slot];
  if (!serves(entry, write)) {
    cpu.meets(MetBug::unresolved_fault);
    co_return failed(EFAULT);
  }
  co_return access_by(cpu, entry, slot, write, value);
}

}  // namespace

Task<Result> queue_load(Cpu cpu, MirrorId id, Slot slot) { co_return co_await access(cpu, id, slot, false, 0); }
Task<Result> queue_store(Cpu cpu, MirrorId id, Slot slot, int value) { co_return co_await access(cpu, id, slot, true, value); }

}  // namespace faultline::ref
