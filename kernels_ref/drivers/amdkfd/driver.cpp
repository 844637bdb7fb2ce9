// amdgpu's KFD, as four device classes. Accesses go through userptr memory, which is mirrored as in any other driver, or
// through the driver's ranges of shared virtual memory.
#include "kernels_ref/drivers/driver.h"

#include "kernels_ref/drivers/amdkfd/migrate.h"
#include "kernels_ref/drivers/amdkfd/prediction.h"
#include "kernels_ref/drivers/amdkfd/retry_fault.h"
#include "kernels_ref/drivers/amdkfd/stopped_queue.h"
#include "kernels_ref/drivers/amdkfd/svm.h"
#include "kernels_ref/drivers/dmirror.h"

namespace faultline::ref {

namespace {

Task<void> open(Cpu cpu, MirrorId opener) {
  co_await insert_notifier(cpu, opener);
  forget_events(cpu, mm_of(opener));
}

constexpr DriverOps userptr{
    .mirrors = true,
    .open = open,
    .release = dmirror_release,
    .load = dmirror_read,
    .store = dmirror_write,
    .migrate = svm_ioctl,
    .invalidate = dmirror_interval_invalidate,
    .invalidate_ranges = svm_invalidate,
    .migrate_to_ram = svm_migrate_to_ram,
    .worker = svm_workers,
};
constexpr DriverOps ranges(decltype(DriverOps::load) load, decltype(DriverOps::store) store) {
  return {
      .mirrors = true,
      .maps_private_by_vma = true,
      .open = open,
      .release = dmirror_release,
      .load = load,
      .store = store,
      .migrate = svm_ioctl,
      .invalidate_ranges = svm_invalidate,
      .migrate_to_ram = svm_migrate_to_ram,
      .worker = svm_workers,
  };
}

constexpr Driver kfd(const DriverOps& ops, bool (*has_work)(const Program&), Observable::Weather weather) {
  return {.ops = ops,
          .has_work = has_work,
          .not_modelled = not_modelled,
          .weather = weather,
          .events_text = told_text,
          .brings_back = brings_back,
          .loses_location = loses_location};
}

constexpr Driver retry = kfd(userptr, migrates, Observable::Weather::unmaps);
constexpr Driver restore = kfd(userptr, migrates, Observable::Weather::stops);
constexpr Driver fault = kfd(ranges(gpu_load, gpu_store), migrates_or_accesses, Observable::Weather::faults);
constexpr Driver queues = kfd(ranges(queue_load, queue_store), migrates_or_accesses, Observable::Weather::stops);

}  // namespace

template <>
const Driver& driver<DeviceClass::unmap_and_retry>() {
  return retry;
}
template <>
const Driver& driver<DeviceClass::preempt_and_restore>() {
  return restore;
}
template <>
const Driver& driver<DeviceClass::fault_and_migrate>() {
  return fault;
}
template <>
const Driver& driver<DeviceClass::map_and_restore>() {
  return queues;
}

}  // namespace faultline::ref
