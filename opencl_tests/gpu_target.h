// A GPU as a target with two halves: its OpenCL driver makes loads, stores and buffers; its kernel driver
// (drm_glue/nouveau/target.h, drm_glue/amdgpu/target.h) makes migrations and gives events.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/target.h"
#include "opencl_tests/device_list.h"
#include "opencl_tests/target.h"

namespace faultline::opencl {

class GpuTarget : public Target {
 public:
  // `environment`: variables for the OpenCL driver. Set in each process that opens it.
  GpuTarget(std::unique_ptr<Target> calls, const Device& work, std::vector<std::pair<std::string, std::string>> environment)
      : calls_(std::move(calls)), work_(work), environment_(std::move(environment)) {}

  std::string name() const override { return calls_->name() + "/opencl"; }
  std::string about() const override { return calls_->about() + ", work by " + work_.about(); }
  std::vector<std::string> gpus() const override { return calls_->gpus(); }
  std::string unavailable() const override;
  Capabilities capabilities() const override;
  void speak_to(DriverWords* words) override;
  std::unique_ptr<DeviceHandle> open(int device) override;

 private:
  const std::unique_ptr<Target> calls_;
  OpenClTarget work_;
  const std::vector<std::pair<std::string, std::string>> environment_;
};

}  // namespace faultline::opencl
