// The GPUs of a target while scenarios run on it: what the kernel log and sysfs say that went wrong with them.
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
  using Report = std::vector<std::string>;  // what happened to which GPU, then the lines that say so

  // Before a run on a target with these GPUs, by their bus ids. Without any, nothing is read.
  void begin(const std::vector<std::string>& buses);
  // Theirs, of the kernel.
  std::set<std::string> drivers() const;
  // What the kernel log says meanwhile.
  void line(const std::string& text);
  std::vector<Report> reports();     // since the last call, from the log
  std::vector<std::string> words();  // likewise, of what the outcomes show as well
  // When its processes have ended: what sysfs says. Waits a moment for memory that is given back late.
  std::vector<Report> end();

  // Why nothing more can be run on a target with these; empty: nothing is known against it.
  std::string gone(const std::vector<std::string>& buses) const;

 private:
  struct Watched {
    GpuState before;
    std::optional<std::uint64_t> vram;  // used when nobody used it, since this process began
    bool alone = false;                 // the only one of its driver
    std::optional<GpuLine> worst;
    Report lines;
  };
  Watched* owner(const GpuLine& line);
  static std::string told(const Watched& gpu, const GpuLine& line);
  Report compare(Watched& gpu);

  std::map<std::string, Watched> watched_;                    // by bus id
  std::map<std::string, std::optional<std::uint64_t>> vram_;  // of those watched before
  std::set<std::string> gone_;
  std::vector<std::string> words_;
};

}  // namespace faultline
