#include "stress/campaign/findings.h"

#include <algorithm>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "harness/run/report_title.h"

namespace faultline {
namespace {

using nlohmann::json;

constexpr Finding::What kinds[] = {Finding::What::forbidden, Finding::What::health, Finding::What::crash, Finding::What::hang,
                                   Finding::What::lost};

}  // namespace

json to_json(const CampaignFinding& found) {
  const Finding& finding = found.finding;
  return {{"what", finding_text(finding.what)},
          {"why", finding.why},
          {"scenario", finding.scenario},
          {"target", finding.target},
          {"seconds", finding.seconds},
          {"iterations", finding.iterations},
          {"file", found.file},
          {"text", found.text},
          {"seed", found.seed},
          {"count", found.count},
          {"of", found.iterations},
          {"again", found.again}};
}

CampaignFinding finding_of(const json& record) {
  CampaignFinding found;
  const std::string what = record.at("what");
  const auto* kind = std::ranges::find_if(kinds, [&](Finding::What each) { return what == finding_text(each); });
  if (kind == std::end(kinds)) throw std::runtime_error("no kind of finding: " + what);
  found.finding.what = *kind;
  record.at("why").get_to(found.finding.why);
  record.at("scenario").get_to(found.finding.scenario);
  record.at("target").get_to(found.finding.target);
  record.at("seconds").get_to(found.finding.seconds);
  record.at("iterations").get_to(found.finding.iterations);
  record.at("file").get_to(found.file);
  record.at("text").get_to(found.text);
  record.at("seed").get_to(found.seed);
  record.at("count").get_to(found.count);
  record.at("of").get_to(found.iterations);
  record.at("again").get_to(found.again);
  return found;
}

std::string identity(const Finding& finding) {
  const std::string kind = finding.target + " " + finding_text(finding.what) + " ";
  const bool is_report = finding.what == Finding::What::health;
  return kind + (is_report ? without_numbers(finding.why) : finding.scenario);
}

bool Findings::has(const Finding& finding) const {
  return std::ranges::any_of(all_,
                             [own = identity(finding)](const CampaignFinding& each) { return identity(each.finding) == own; });
}

std::vector<CampaignFinding> Findings::add(const Trial& trial, const std::string& text, double seconds) {
  std::vector<CampaignFinding> added;
  for (Finding& finding : findings(trial)) {
    finding.seconds = seconds;
    CampaignFinding found{
        .finding = finding, .file = trial.file, .text = text, .seed = trial.seed, .iterations = trial.iterations};
    if (finding.what == Finding::What::forbidden)
      for (const Outcome& outcome : not_allowed(trial)) {
        const Tally& tally = trial.seen.at(outcome);
        if (found.count == 0) found.seed = tally.seed;
        found.count += tally.count;
      }
    const auto known = std::ranges::find_if(
        all_, [own = identity(finding)](const CampaignFinding& each) { return identity(each.finding) == own; });
    if (known == all_.end()) {
      all_.push_back(found);
      added.push_back(found);
    } else if (known->finding.scenario == finding.scenario) {
      known->count = found.count;
      known->iterations = found.iterations;
    } else {
      ++known->again;
    }
  }
  return added;
}

void Findings::restore(const CampaignFinding& finding) {
  if (!has(finding.finding)) all_.push_back(finding);
}

}  // namespace faultline
