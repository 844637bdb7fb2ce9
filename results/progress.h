// How far a run is: one line that is rewritten on a terminal, a plain line every few seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "harness/run/run.h"

namespace faultline {

// "[3/24] fork-order on host 1200/5000 2310 it/s 12 s left", cut to `width` columns.
std::string progress_line(const RunProgress& progress, std::size_t width);

// Writes to `out` (stderr). Text that is to stay goes through print(), so that the line is out of its way.
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
