// The GPUs of this machine: what DRM and KFD tell of them, which shared virtual memory they have, and why not more.
//
// Nothing is changed: what the kernel does once for a process (SVM of nouveau, the process of KFD) is tried in a
// child that ends. What cannot be asked is named in `unknown`, and the rest is told.
#pragma once

#include "harness/gpu.h"

namespace faultline {

GpuList list_gpus();

}  // namespace faultline
