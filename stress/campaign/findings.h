// The findings of a campaign: each once, with how often it was seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "harness/run/trial.h"

namespace faultline {

struct Finding {
  Verdict kind = Verdict::forbidden;
  std::string scenario;
  std::string target;
  std::string file;              // of the scenario; a generated one is in no file until somebody writes it
  std::string text;              // of the scenario
  std::string what;              // in one line
  double seconds = 0;            // of the campaign, when it was first seen
  std::uint64_t seed = 0;        // of the slice that showed it
  std::uint64_t count = 0;       // iterations that showed it; 0 where the machine said it itself
  std::uint64_t iterations = 0;  // that were run until then
  int again = 0;                 // other scenarios that showed the same report of the kernel log
};

nlohmann::json to_json(const Finding& finding);
Finding finding_of(const nlohmann::json& record);  // throws nlohmann::json::exception

// What tells two findings of a kind apart. A report of the kernel log is the same one wherever it shows, whatever addresses and
// numbers it has. All else is one finding for each scenario and kind.
std::string identity(const Finding& finding);

class Findings {
 public:
  // The new finding that the trial shows, if any. One that is known counts as seen again.
  std::optional<Finding> add(const Trial& trial, const std::string& text, double seconds);
  // One of an earlier part of the campaign.
  void restore(const Finding& finding);
  const std::vector<Finding>& all() const { return all_; }

 private:
  std::vector<Finding> all_;
};

}  // namespace faultline
