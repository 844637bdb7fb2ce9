#include "opencl_tests/gpu_target.h"

#include <cstdlib>

namespace faultline::opencl {
namespace {

class Handle : public DeviceHandle {
 public:
  Handle(std::unique_ptr<DeviceHandle> calls, std::unique_ptr<DeviceHandle> work)
      : calls_(std::move(calls)), work_(std::move(work)) {}

  DeviceAccess load(std::uintptr_t address) override { return work_->load(address); }
  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override { return work_->store(address, value); }
  Svm* svm() override { return work_->svm(); }
  int ordered(std::span<OrderedAccess> accesses) override { return work_->ordered(accesses); }

  int migrate(std::uintptr_t address, int pages, bool to_device) override { return calls_->migrate(address, pages, to_device); }
  int location(std::uintptr_t address, Location& location) override { return calls_->location(address, location); }
  int history(std::uintptr_t address, PageHistory& history) override { return calls_->history(address, history); }

 private:
  const std::unique_ptr<DeviceHandle> calls_, work_;
};

}  // namespace

std::string GpuTarget::unavailable() const {
  const std::string why = calls_->unavailable();
  return why.empty() ? work_.unavailable() : why;
}

Capabilities GpuTarget::capabilities() const {
  const Capabilities calls = calls_->capabilities();
  Capabilities can = work_.capabilities();
  can.device_class = calls.device_class;
  can.sight = calls.sight;
  can.migrate = calls.migrate;
  can.system = work_.has_system_svm();
  // A kernel's fault causes events and may migrate pages, but not as DeviceClass::fault_and_migrate predicts. An OpenCL
  // driver also makes SVM ranges of its own and sets their attributes, which decide where a fault migrates a range. And it
  // copies and maps host memory through userptrs, where KFD makes ranges of one page or none (svm_range_check_vm_userptr).
  const bool on_ranges = can.device_class == DeviceClass::unmap_and_retry || can.device_class == DeviceClass::preempt_and_restore;
  if (can.system && on_ranges) can.sight.events = can.sight.location = false;
  return can;
}

void GpuTarget::speak_to(DriverWords* words) {
  calls_->speak_to(words);
  work_.speak_to(words);
}

// Opens the OpenCL driver first: KFD gives a process one VM per GPU, and ROCm insists on its own.
std::unique_ptr<DeviceHandle> GpuTarget::open(int device) {
  for (const auto& [name, value] : environment_) setenv(name.c_str(), value.c_str(), 1);
  std::unique_ptr<DeviceHandle> work = work_.open(device);
  if (!work) return nullptr;
  std::unique_ptr<DeviceHandle> calls = calls_->open(device);
  return calls ? std::make_unique<Handle>(std::move(calls), std::move(work)) : nullptr;
}

}  // namespace faultline::opencl
