// The kernel's mm code alone as a target: the "device" is a CPU thread, which uses its process's own page tables.
#pragma once

#include "drm_glue/kernel.h"
#include "harness/target.h"

namespace faultline {

class HostTarget : public Target {
 public:
  explicit HostTarget(Kernel& kernel = real_kernel()) : kernel_(kernel) {}
  std::string name() const override { return "host"; }
  std::string unavailable() const override { return {}; }
  Capabilities capabilities() const override;
  bool takes_signals() const override { return true; }  // there are no requests
  bool bears_page_changes() const override { return true; }
  std::unique_ptr<DeviceHandle> open(int device) override;

 private:
  Kernel& kernel_;
};

}  // namespace faultline
