#include "stress/campaign/findings.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace faultline {
namespace {

using nlohmann::json;

bool is_finding(Verdict verdict) {
  return verdict == Verdict::forbidden || verdict == Verdict::health || verdict == Verdict::hang || verdict == Verdict::lost;
}

// "BUG: KASAN: use-after-free in f+0x1c/0x40" without its numbers.
std::string without_numbers(const std::string& line) {
  std::string result;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!std::isxdigit(static_cast<unsigned char>(line[i]))) {
      result += line[i];
      continue;
    }
    std::size_t end = i;
    bool digit = false;
    while (end < line.size() && (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_'))
      digit = digit || std::isdigit(static_cast<unsigned char>(line[end])), ++end;
    // A word that only begins like a number is a word.
    const std::string word = line.substr(i, end - i);
    const bool number = digit && word.find_first_not_of("0123456789abcdefABCDEFx") == word.npos;
    result += number ? "#" : word;
    i = end - 1;
  }
  return result;
}

}  // namespace

json to_json(const Finding& finding) {
  return {{"kind", verdict_text(finding.kind)},
          {"scenario", finding.scenario},
          {"target", finding.target},
          {"file", finding.file},
          {"text", finding.text},
          {"what", finding.what},
          {"seconds", finding.seconds},
          {"seed", finding.seed},
          {"count", finding.count},
          {"iterations", finding.iterations},
          {"again", finding.again}};
}

Finding finding_of(const json& record) {
  Finding finding;
  const std::string kind = record.at("kind");
  const auto* found = std::ranges::find_if(all_verdicts, [&](Verdict each) { return kind == verdict_text(each); });
  if (found == std::end(all_verdicts)) throw std::runtime_error("no kind of finding: " + kind);
  finding.kind = *found;
  record.at("scenario").get_to(finding.scenario);
  record.at("target").get_to(finding.target);
  record.at("file").get_to(finding.file);
  record.at("text").get_to(finding.text);
  record.at("what").get_to(finding.what);
  record.at("seconds").get_to(finding.seconds);
  record.at("seed").get_to(finding.seed);
  record.at("count").get_to(finding.count);
  record.at("iterations").get_to(finding.iterations);
  record.at("again").get_to(finding.again);
  return finding;
}

std::string identity(const Finding& finding) {
  const std::string kind = finding.target + " " + verdict_text(finding.kind) + " ";
  const bool of_log = finding.kind == Verdict::health;
  return kind + (of_log ? without_numbers(finding.what) : finding.scenario);
}

std::optional<Finding> Findings::add(const Trial& trial, const std::string& text, double seconds) {
  Finding finding{
      .kind = verdict(trial), .scenario = trial.program.name, .target = trial.target, .file = trial.file, .text = text};
  if (!is_finding(finding.kind)) return std::nullopt;
  finding.what = reason(trial);
  finding.seconds = seconds;
  finding.seed = trial.seed;
  finding.iterations = trial.iterations;
  if (finding.kind == Verdict::forbidden)
    for (const Outcome& outcome : not_allowed(trial)) {
      const Tally& tally = trial.seen.at(outcome);
      if (finding.count == 0) {
        finding.seed = tally.seed;
        finding.what = "not allowed: " + describe(trial.allowed.schema, trial.program, outcome, false);
      }
      finding.count += tally.count;
    }
  const std::string own = identity(finding);
  const auto known = std::ranges::find(all_, own, identity);
  if (known == all_.end()) {
    all_.push_back(finding);
    return finding;
  }
  if (known->scenario == finding.scenario) known->count = finding.count, known->iterations = finding.iterations;
  else ++known->again;
  return std::nullopt;
}

void Findings::restore(const Finding& finding) {
  const auto known = std::ranges::find(all_, identity(finding), identity);
  if (known == all_.end()) all_.push_back(finding);
  else *known = finding;
}

}  // namespace faultline
