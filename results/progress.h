// The progress of a run: one line that is rewritten on a terminal; a new line every few seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "harness/run/run.h"

namespace faultline {

// "[3/24] fork-order on host 1200/5000 2310 it/s 12 s left", truncated to `width` columns.
std::string progress_line(const RunProgress& progress, std::size_t width);

// Writes to `out` (stderr). Call clear() before you print other text, so that the progress line does not get in its way.
class ProgressBar {
 public:
  ProgressBar(std::FILE* out, bool terminal) : out_(out), terminal_(terminal) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(const RunProgress& progress);
  void clear();

 private:
  std::FILE* out_;
  bool terminal_;
  bool shown_ = false;
  std::string last_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace faultline
