// A device that reads and writes memory through long-term pins: io_uring with fixed buffers. It touches the pages that
// the kernel pinned (pin_user_pages_fast with FOLL_WRITE and FOLL_LONGTERM), whatever the page tables say now. A pin for
// reading is a plain page reference, as vmsplice() takes it.
#pragma once

#include "drm_glue/kernel.h"
#include "harness/target.h"

namespace faultline {

class PinnedTarget : public Target {
 public:
  explicit PinnedTarget(Kernel& kernel = real_kernel()) : kernel_(kernel) {}
  std::string name() const override { return "pinned"; }
  std::string unavailable() const override;
  Capabilities capabilities() const override;
  std::unique_ptr<DeviceHandle> open(int device) override;

 private:
  Kernel& kernel_;
};

}  // namespace faultline
