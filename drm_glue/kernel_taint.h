// Whether the kernel got into a bad state that its log does not tell, or that we could not read there.
#pragma once

#include <string>
#include <vector>

#include "drm_glue/kernel.h"

namespace faultline {

// Watches /proc/sys/kernel/tainted for what add_taint() says of a kernel that is unwell: a bad page (B), an oops (D), a warning
// (W), a soft lockup (L). What the kernel was tainted with before says nothing about a run.
class KernelTaint {
 public:
  explicit KernelTaint(Kernel& kernel = real_kernel());

  // What is new since the last call, in words: "W (a warning)". Call it before the log is read: the kernel writes to its log
  // first. None where the file cannot be read.
  std::vector<std::string> news();

 private:
  unsigned long long read() const;

  Kernel& kernel_;
  unsigned long long before_;
};

// The line of a report about what came without any report of the log.
std::string taint_line(const std::vector<std::string>& news);

}  // namespace faultline
