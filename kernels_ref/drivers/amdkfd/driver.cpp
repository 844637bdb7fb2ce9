// amdgpu's KFD, as three device classes. Accesses go through userptr memory, which is mirrored as in any other driver, or
// through the driver's ranges of shared virtual memory.
#include "kernels_ref/drivers/driver.h"

#include "kernels_ref/drivers/amdkfd/migrate.h"
#include "kernels_ref/drivers/amdkfd/prediction.h"
#include "kernels_ref/drivers/amdkfd/retry_fault.h"
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
constexpr DriverOps ranges{
    .mirrors = true,
    .maps_private_by_vma = true,
    .open = open,
    .release = dmirror_release,
    .load = gpu_load,
    .store = gpu_store,
    .migrate = svm_ioctl,
    .invalidate_ranges = svm_invalidate,
    .migrate_to_ram = svm_migrate_to_ram,
    .worker = svm_workers,
};

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
constexpr Driver fault = kfd(ranges, migrates_or_accesses, Observable::Weather::faults);

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

}  // namespace faultline::ref
