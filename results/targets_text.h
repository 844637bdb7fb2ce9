// What `faultline targets` says of targets.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "harness/target.h"

namespace faultline {

struct TargetRow {
  std::string word;
  bool available = false;
  std::string why;    // not; or what kind of available
  std::string files;  // what a scenario's files are on, where that is known
  Capabilities capabilities;
  std::size_t runs = 0;                                           // scenarios
  std::vector<std::pair<std::string, std::string>> does_not_run;  // scenario, why
  bool known = true;                                              // its capabilities are, whether it is here or not
};
// `names`: of the scenarios that do not run, beside how many.
std::string targets_text(const std::vector<TargetRow>& rows, std::size_t scenarios, bool names);

}  // namespace faultline
