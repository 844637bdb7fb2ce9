// A campaign: a run on some targets for some time that chooses, slice by slice, what is worth it (front.h), and tells each
// finding once. What it has done is in the run's journal, so that it can go on after it was stopped in any way.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/run/run.h"
#include "stress/campaign/findings.h"
#include "stress/campaign/front.h"
#include "stress/campaign/work_source.h"

namespace faultline {

class Campaign : public WorkSource {
 public:
  struct Options {
    std::vector<Scenario> written;
    Predictor predictor;
    std::uint64_t seed = 0;
    double seconds = 0;  // for each target
    std::string prefix;  // of the files of generated scenarios
    std::function<bool()> stopped;
    // Keeps a record: "campaign" for each slice, "campaign_finding" for each finding.
    std::function<void(const std::string& event, const nlohmann::json& record)> write;
    // A finding of the earlier part that was killed before it could tell it. Those of this part the run tells.
    std::function<void(const Finding& finding)> found;
    std::function<double()> clock;  // seconds since the campaign began, all parts of it together
  };
  explicit Campaign(Options options);

  // Takes over what the journal of an earlier part says, before the first next(). Lines that are no records of a campaign are passed
  // over, the last one may be cut off. Gives how many slices were found.
  std::size_t resume(std::istream& journal);

  std::optional<Work> next(const std::string& target, const Capabilities& can) override;
  bool told(const Trial& trial, bool closed) override;

  struct Status {
    std::size_t scenarios = 0;  // tried, on all targets together
    std::size_t by_pool[pools] = {};
    std::uint64_t iterations = 0;
    std::size_t allowed = 0, seen = 0;  // outcomes of those that were tried
    std::size_t features = 0;
    std::size_t findings = 0;
  };
  Status status() const;
  const std::vector<CampaignFinding>& found() const { return findings_.all(); }
  bool knows(const Finding& finding) const { return findings_.has(finding); }

 private:
  struct Place {
    std::unique_ptr<Front> front;
    Item* current = nullptr;
    // What the trial of an item had when it was told last: trials add up.
    struct Before {
      double seconds = 0;
      std::uint64_t iterations = 0;
    };
    std::map<const Item*, Before> before;
    // Of an earlier part, until the front is there: items, and what the last slice showed if nobody has told it.
    std::vector<Item> restored;
    std::optional<Trial> untold;
    std::string untold_text;
  };
  Front& front(const std::string& target, const Capabilities& can);
  Allowed predicted(const Program& program, DeviceClass device_class) const;
  std::vector<CampaignFinding> find(const Trial& trial, const std::string& text);
  void tell_untold(Place& place, const Capabilities& can);

  Options options_;
  std::vector<std::shared_ptr<const Scenario>> written_;
  std::map<std::string, Place> places_;
  Status status_;
  Findings findings_;
};

}  // namespace faultline
