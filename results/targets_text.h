// The output of `faultline targets` about targets.
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
  std::string why;    // why not available; or a remark on how it is available
  std::string files;  // where a scenario's files lie, if that is known
  Capabilities capabilities;
  std::size_t runs = 0;                                           // how many scenarios run on it
  std::vector<std::pair<std::string, std::string>> does_not_run;  // scenario, why
  bool known = true;                                              // its capabilities are known, whether available or not
};
// `names`: print the names of the scenarios that do not run, besides their number.
std::string targets_text(const std::vector<TargetRow>& rows, std::size_t scenarios, bool names);

}  // namespace faultline
