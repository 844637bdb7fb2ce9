// Watches the GPUs of a target while scenarios run on it: what the kernel log and sysfs report about them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drm_glue/health/gpu_log.h"
#include "drm_glue/health/gpu_state.h"

namespace faultline {

class GpuWatch {
 public:
  using Report = std::vector<std::string>;  // first what happened to which GPU, then the log lines that say so

  // Before a run on a target with these GPUs (bus ids). Without GPUs nothing is read.
  void begin(const std::vector<std::string>& buses);
  // The kernel drivers of the watched GPUs.
  std::set<std::string> drivers() const;
  // Takes one line of the kernel log.
  void line(const std::string& text);
  std::vector<Report> reports();     // from the log, since the last call
  std::vector<std::string> words();  // also from the log: refused accesses, which the outcomes show as well
  // After the processes of the run have ended: what sysfs says. Waits a moment for memory that is freed late.
  std::vector<Report> end();

  // Why nothing more can run on a target with these GPUs; empty: nothing speaks against it.
  std::string gone(const std::vector<std::string>& buses) const;

 private:
  struct Watched {
    GpuState before;
    std::optional<std::uint64_t> vram;  // bytes in use when idle, as first seen by this process
    bool alone = false;                 // its driver has no other device
    std::optional<GpuLine> worst;
    Report lines;
  };
  Watched* owner(const GpuLine& line);
  static std::string told(const Watched& gpu, const GpuLine& line);
  Report compare(Watched& gpu);

  std::map<std::string, Watched> watched_;                    // by bus id
  std::map<std::string, std::optional<std::uint64_t>> vram_;  // Watched::vram of earlier runs
  std::set<std::string> gone_;
  std::vector<std::string> words_;
};

}  // namespace faultline
