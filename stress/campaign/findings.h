// The findings of a campaign: each once, with how often it was seen.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "harness/run/finding.h"
#include "harness/run/trial.h"

namespace faultline {

struct CampaignFinding {
  Finding finding;               // when it was first seen; its seconds are those of the campaign
  std::string file;              // of the scenario; a generated one is in no file until somebody writes it
  std::string text;              // of the scenario
  std::uint64_t seed = 0;        // of the slice that showed it
  std::uint64_t count = 0;       // iterations that showed it; 0 where the machine said it itself
  std::uint64_t iterations = 0;  // that were run until then
  int again = 0;                 // other scenarios that made the kernel report the same
};

nlohmann::json to_json(const CampaignFinding& finding);
CampaignFinding finding_of(const nlohmann::json& record);  // throws nlohmann::json::exception or std::runtime_error

// What tells two findings of a kind apart. A report of the kernel log is the same one wherever it shows, whatever addresses and
// numbers it has. All else is one finding for each scenario and kind.
std::string identity(const Finding& finding);

class Findings {
 public:
  bool has(const Finding& finding) const;
  // Adds what is new of all that the trial has found, and gives it. What is known counts as seen again.
  std::vector<CampaignFinding> add(const Trial& trial, const std::string& text, double seconds);
  // One of an earlier part of the campaign.
  void restore(const CampaignFinding& finding);
  const std::vector<CampaignFinding>& all() const { return all_; }

 private:
  std::vector<CampaignFinding> all_;
};

}  // namespace faultline
