// What the journal of a campaign says about how it was started, so that it can go on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/app/app.h"

namespace faultline::app {

struct CampaignJournal {
  std::vector<std::string> targets;
  std::vector<std::string> paths;  // of scenarios
  LabOptions lab;
  std::uint64_t seed = 0;
  double seconds = 0;  // its time, as asked for at first
  double elapsed = 0;  // that all parts together have had
  int parts = 0;
};

// Throws BadInput if the file is no journal of a campaign.
CampaignJournal read_campaign(const std::string& path);

nlohmann::json to_json(const LabOptions& lab);

}  // namespace faultline::app
