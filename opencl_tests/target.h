// OpenCL devices as targets: every access is a kernel with one work-item, and the caller waits for it.
#pragma once

#include <memory>
#include <vector>

#include "drm_glue/of_process.h"
#include "harness/target.h"
#include "opencl_tests/binaries.h"
#include "opencl_tests/device_list.h"

namespace faultline::opencl {

class Runtime;

class OpenClTarget : public Target {
 public:
  explicit OpenClTarget(Device device) : device_(std::move(device)) {}
  std::string name() const override { return device_.target(); }
  std::string about() const override { return device_.name + ", " + device_.version + ", driver " + device_.driver; }
  std::vector<std::string> gpus() const override {
    return device_.bus.empty() ? std::vector<std::string>{} : std::vector{device_.bus};
  }
  std::string unavailable() const override;
  Capabilities capabilities() const override;
  void speak_to(DriverWords* words) override { words_ = words; }
  std::unique_ptr<DeviceHandle> open(int device) override;
  bool has_system_svm() const { return device_.svm.system; }

 private:
  Device device_;
  DriverWords* words_ = nullptr;
  Binaries binaries_;
  OfProcess<Runtime> runtime_;
};

// One target for each device. Without devices: a single target that is unavailable and says why.
std::vector<std::unique_ptr<Target>> opencl_targets(const DeviceList& list);

}  // namespace faultline::opencl
