// The GPUs of this machine: what DRM and KFD say about them, which kinds of SVM they support, and why not more.
//
// Listing changes nothing. What the kernel does only once per process (nouveau's SVM, KFD's process) is tried in a
// short-lived child. What cannot be found out is listed in `unknown`.
#pragma once

#include "harness/gpu.h"

namespace faultline {

GpuList list_gpus();

}  // namespace faultline
