// What an agent watches on its machine besides the targets: the kernel log, GPUs, page frames, calls of driver functions.
// This is an interface, because the agent itself knows none of them; the agent program implements it
// (harness/app/agent_watch.cpp).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "harness/driver_calls.h"
#include "harness/executor/executor.h"
#include "harness/gpu.h"

namespace faultline::agent {

class Watch {
 public:
  using Report = std::vector<std::string>;  // lines of one finding

  virtual ~Watch() = default;
  virtual Frames* frames() = 0;
  virtual GpuList gpus() = 0;
  // Why the kernel log cannot be read, and what would help. Empty if it can be read.
  virtual std::string log_unavailable() const = 0;
  // Why a target with these GPUs can run nothing more. Empty if no reason is known.
  virtual std::string gone(const std::vector<std::string>& buses) const = 0;

  // Called before a run on a target with these GPUs and this driver of its own ("" for none). end() is called after it.
  virtual void begin(const std::vector<std::string>& buses, const std::string& driver) = 0;
  // Problems of the kernel (its log, and a taint that no report of the log explains), and of the GPUs, since the last call. May
  // also be called outside a run.
  virtual std::vector<Report> log_reports() = 0;
  virtual std::vector<Report> gpu_reports() = 0;
  // What the kernel driver logged since the last call about things that the outcomes show too. Not a problem.
  virtual std::vector<std::string> words() = 0;
  // Both are called when the processes of the run have ended. calls(): function calls since begin(). end(): problems of the
  // GPUs that only show now, such as memory that was not freed.
  virtual DriverCalls calls() = 0;
  virtual std::vector<Report> end() = 0;
};

}  // namespace faultline::agent
