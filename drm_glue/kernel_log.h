// Finds reports of breakage (splats) in the kernel log during a run.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drm_glue/kernel.h"

namespace faultline {

// Cuts a stream of log lines into reports. A report is a health line (health_lines.h) with a few lines before it and those
// after it: lockdep's report of a cycle of four locks has 190.
class SplatCollector {
 public:
  void feed(std::string line);
  // The last report may still grow.
  bool open() const { return !current_.empty(); }
  // The complete reports; with `all` also the one that may still grow.
  std::vector<std::vector<std::string>> take(bool all);

 private:
  static constexpr std::size_t lines_before = 3;
  static constexpr std::size_t lines_after = 200;
  std::deque<std::string> recent_;
  std::vector<std::string> current_;
  std::size_t left_ = 0;
  std::vector<std::vector<std::string>> complete_;
};

// Reads /dev/kmsg from its present end on. Each read() gives one record. The kernel drops old records if we are too slow.
class KernelLog {
 public:
  explicit KernelLog(Kernel& kernel = real_kernel());
  ~KernelLog();
  KernelLog(const KernelLog&) = delete;
  KernelLog& operator=(const KernelLog&) = delete;

  // Empty if the log can be read; else why not and what would help.
  const std::string& unavailable() const { return why_; }
  // The listener gets every line that health() reads.
  void listen(std::function<void(const std::string&)> listener) { listener_ = std::move(listener); }
  // The reports since the last call. Waits a moment for the rest of an incomplete one.
  std::vector<std::vector<std::string>> health();

 private:
  bool read_new();  // false: nothing was there

  Kernel& kernel_;
  int fd_ = -1;
  std::string why_;
  SplatCollector collector_;
  std::function<void(const std::string&)> listener_;
};

// The message of one /dev/kmsg record ("6,339,5140900,-;text\n KEY=value\n"). Empty if user space wrote the record: such a
// record says nothing about the kernel's health.
std::string kmsg_message(std::string_view record);

}  // namespace faultline
