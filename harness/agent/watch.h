// What an agent asks of its machine beside the targets: the kernel log, GPUs, page frames, calls of drivers. The agent
// knows none of them; the program that it is a part of says how (harness/app/agent_watch.cpp).
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
  // Why nothing can be read of the kernel log, and what would help; empty where it can.
  virtual std::string log_unavailable() const = 0;
  // Why nothing more can be run on a target with these GPUs; empty: nothing is known against it.
  virtual std::string gone(const std::vector<std::string>& buses) const = 0;

  // Around a run on a target with these GPUs and this driver of its own ("" for none).
  virtual void begin(const std::vector<std::string>& buses, const std::string& driver) = 0;
  // What went wrong since the last call, of the kernel, then of the GPUs; before begin() and after end(), too.
  virtual std::vector<Report> log_reports() = 0;
  virtual std::vector<Report> gpu_reports() = 0;
  // Likewise, what the driver said of that the outcomes show as well.
  virtual std::vector<std::string> words() = 0;
  // When its processes have ended: the calls since begin(), and what GPUs have kept.
  virtual DriverCalls calls() = 0;
  virtual std::vector<Report> end() = 0;
};

}  // namespace faultline::agent
