// Makes the scenarios of findings small, on the targets that showed them, slice by slice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stress/campaign/findings.h"
#include "stress/campaign/work_source.h"
#include "stress/shrink/shrink.h"

namespace faultline {

// What became of a finding.
struct Shrunk {
  CampaignFinding finding;
  Program program;
  std::optional<Condition> forbidden;  // of its outcomes; nothing if no outcome tells
  double rate = 0;                     // the share of iterations that show it; 0: it did not show again
  int tried = 0;                       // programs
  bool smallest = false;               // no part of it can be taken away; otherwise the time was up
};

class Shrinking : public WorkSource {
 public:
  struct Options {
    std::uint64_t seed = 0;
    double seconds = 0;             // for all findings of a target together
    std::function<double()> clock;  // seconds
    std::string prefix;             // of the candidates' files, which are never written
    std::function<void(const Shrunk& shrunk)> done;
  };
  // `findings`: in this order. Those of one target share its time: each gets its part of what is left.
  Shrinking(std::vector<CampaignFinding> findings, Options options);

  std::optional<Work> next(const std::string& target, const Capabilities& can) override;
  bool told(const Trial& trial, bool closed) override;
  // Tells what became of those that are not finished.
  void end();

 private:
  struct Place {
    std::vector<CampaignFinding> waiting;  // the next one last
    std::optional<CampaignFinding> finding;
    std::optional<Shrinker> shrinker;          // once the finding has shown again
    std::shared_ptr<const Scenario> scenario;  // that runs
    std::optional<Condition> forbidden;        // in the smallest program so far
    double until = 0;                          // of the clock, for this finding
    double end = 0;                            // for all
    std::uint64_t slices = 0;
  };
  bool start(Place& place);
  void finish(Place& place, bool smallest);
  void run(Place& place, const Program& program);

  Options options_;
  std::map<std::string, Place> places_;
};

}  // namespace faultline
