// What a run has found, told as soon as a trial shows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/run/trial.h"

namespace faultline {

struct Finding {
  enum class What {
    forbidden,  // an outcome that no healthy kernel shows
    health,     // the kernel log reports a fault
    crash,      // the device's driver crashed
    hang,
    lost,  // the machine died
  };
  What what = What::forbidden;
  std::string why;  // one line: the outcome; the title of the report; where it was
  std::string scenario;
  std::string target;
  double seconds = 0;            // since the start of the run
  std::uint64_t iterations = 0;  // of the trial until then
};

const char* finding_text(Finding::What what);

// What the trial has found so far, the worst first. Without `seconds`, which the run knows. Empty if an incomplete prediction
// lacks what was seen: that decides nothing. Each title of the kernel log's reports is one finding.
std::vector<Finding> findings(const Trial& trial);

}  // namespace faultline
