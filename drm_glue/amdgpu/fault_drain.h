// Waits until the driver has answered every fault of the GPU that was reported before.
//
// The GPU reports a fault again while the access waits. So when an access goes on, interrupts of its fault may still be in the
// driver's ring (adev->irq.ih_soft). svm_range_restore_pages() then answers a fault that nobody waits for, at any time later:
// if the CPU has meanwhile brought the page back, the range moves to VRAM once more. Linux 6.1 does not survive that beside a
// fault of the CPU (reused-page and released-bo, harness/run/known_bugs.cpp), although the program did one after the
// other. Without this, on user queues in weather, the kernel died in migrate-mapped-before, a program of one thread, after 37
// iterations (seed 3751656407, 75 scenarios, 200 s). The ring is worked off in order. So a fault of our own, once it is
// answered, is behind all of them.
#pragma once

#include <memory>
#include <mutex>

#include "drm_glue/amdgpu/copier.h"
#include "drm_glue/amdgpu/svm.h"

namespace faultline::amdgpu {

class FaultDrain {
 public:
  // Throws Failure. `engine` reaches the process's own addresses.
  FaultDrain(std::unique_ptr<Copier> engine, SvmProcess& svm);
  ~FaultDrain();
  FaultDrain(const FaultDrain&) = delete;
  FaultDrain& operator=(const FaultDrain&) = delete;

  // Any thread may wait. Throws Failure (Copier::copy).
  void wait();

 private:
  std::mutex mutex_;
  const std::unique_ptr<Copier> engine_;
  void* page_;  // stays in system memory, and has no entry before each wait
};

}  // namespace faultline::amdgpu
