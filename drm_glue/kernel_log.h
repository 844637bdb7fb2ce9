// The kernel log while a run goes on: what in it says that something broke.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drm_glue/kernel.h"

namespace faultline {

// Cuts a stream of log lines into reports: a health line (health_lines.h), a few lines before it and some forty after it.
class SplatCollector {
 public:
  void feed(std::string line);
  // A report has begun and may go on.
  bool open() const { return !current_.empty(); }
  // The reports that are complete; with `all` the open one too.
  std::vector<std::vector<std::string>> take(bool all);

 private:
  static constexpr std::size_t lines_before = 3;
  static constexpr std::size_t lines_after = 40;
  std::deque<std::string> recent_;
  std::vector<std::string> current_;
  std::size_t left_ = 0;
  std::vector<std::vector<std::string>> complete_;
};

// /dev/kmsg from now on. One record is one read; the kernel drops old records when we are too slow.
class KernelLog {
 public:
  explicit KernelLog(Kernel& kernel = real_kernel());
  ~KernelLog();
  KernelLog(const KernelLog&) = delete;
  KernelLog& operator=(const KernelLog&) = delete;

  // Empty when the log can be read; else why not and what would help.
  const std::string& unavailable() const { return why_; }
  // Is told every line, when health() reads it.
  void listen(std::function<void(const std::string&)> listener) { listener_ = std::move(listener); }
  // The reports since the last call. Waits a moment for the rest of one that has begun.
  std::vector<std::vector<std::string>> health();

 private:
  bool read_new();  // false: nothing was there

  Kernel& kernel_;
  int fd_ = -1;
  std::string why_;
  SplatCollector collector_;
  std::function<void(const std::string&)> listener_;
};

// The message of one /dev/kmsg record ("6,339,5140900,-;text\n KEY=value\n"); empty for a record that user
// space wrote, which says nothing about the kernel's health.
std::string kmsg_message(std::string_view record);

}  // namespace faultline
