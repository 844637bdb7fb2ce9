#include "stress/campaign/shrinking.h"

#include <algorithm>
#include <utility>

#include "harness/language/parser.h"
#include "harness/language/printer.h"

namespace faultline {
namespace {

constexpr double longest_slice = 1;
constexpr std::uint64_t to_show_again = 5000;  // iterations; what does not show in so many is given up

// How often the trial has shown a finding.
std::uint64_t sightings(const Trial& trial) {
  std::uint64_t count = 0;
  for (const Outcome& outcome : not_allowed(trial)) count += trial.seen.at(outcome).count;
  if (count > 0 && trial.allowed.complete) return count;
  const Verdict found = verdict(trial);
  return found == Verdict::health || found == Verdict::lost || found == Verdict::hang ? 1 : 0;
}

// What it has shown most often.
std::optional<Condition> forbidden_in(const Trial& trial) {
  const std::vector<Outcome> strays = not_allowed(trial);
  if (strays.empty()) return std::nullopt;
  return what_is_forbidden(
      trial.allowed, *std::ranges::max_element(strays, {}, [&](const Outcome& outcome) { return trial.seen.at(outcome).count; }));
}

}  // namespace

Shrinking::Shrinking(std::vector<CampaignFinding> findings, Options options) : options_(std::move(options)) {
  for (std::size_t i = findings.size(); i-- > 0;) places_[findings[i].finding.target].waiting.push_back(std::move(findings[i]));
}

void Shrinking::run(Place& place, const Program& program) {
  auto scenario = std::make_shared<Scenario>();
  scenario->text = print(program);
  scenario->file = options_.prefix + program.name + ".scn";
  scenario->program = program;
  place.scenario = std::move(scenario);
}

bool Shrinking::start(Place& place) {
  if (place.waiting.empty()) return false;
  const double now = options_.clock();
  if (place.end == 0) place.end = now + options_.seconds;
  if (now >= place.end) return false;
  place.until = now + (place.end - now) / static_cast<double>(place.waiting.size());
  place.finding = std::move(place.waiting.back());
  place.waiting.pop_back();
  place.shrinker.reset();
  Program program = parse(place.finding->text, place.finding->file);
  program.claims.clear();  // whether they hold is another question
  run(place, program);
  return true;
}

void Shrinking::finish(Place& place, bool smallest) {
  Shrunk shrunk;
  shrunk.program = place.shrinker ? place.shrinker->program() : place.scenario->program;
  shrunk.forbidden = std::exchange(place.forbidden, std::nullopt);
  shrunk.rate = place.shrinker ? place.shrinker->rate() : 0;
  shrunk.tried = place.shrinker ? place.shrinker->tried() : 0;
  shrunk.smallest = smallest;
  shrunk.finding = *std::exchange(place.finding, std::nullopt);
  place.scenario.reset();
  options_.done(shrunk);
}

std::optional<Work> Shrinking::next(const std::string& target, const Capabilities&) {
  const auto found = places_.find(target);
  if (found == places_.end()) return std::nullopt;
  Place& place = found->second;
  if (place.finding && options_.clock() >= place.until) finish(place, false);
  while (!place.finding || !place.scenario) {
    if (!place.finding && !start(place)) return std::nullopt;
    if (place.scenario) break;
    const std::optional<Program> candidate = place.shrinker->next();
    if (candidate) run(place, *candidate);
    else finish(place, true);
  }
  const std::uint64_t iterations = place.shrinker ? place.shrinker->iterations_wanted() : to_show_again;
  // A seed that a person can type; another one for each slice.
  const std::uint64_t seed = (options_.seed + ++place.slices) & 0xffffffff;
  return Work{.scenario = place.scenario, .seconds = longest_slice, .iterations = iterations, .seed = seed};
}

bool Shrinking::told(const Trial& trial, bool closed) {
  Place& place = places_[trial.target];
  const std::uint64_t seen = sightings(trial);
  const std::uint64_t wanted = place.shrinker ? place.shrinker->iterations_wanted() : to_show_again;
  if (!closed && seen < Shrinker::sightings_wanted && trial.iterations < wanted) return false;
  const double rate =
      static_cast<double>(seen) / static_cast<double>(std::max<std::uint64_t>(trial.iterations, seen + (seen == 0)));
  if (place.shrinker) place.shrinker->told(rate);
  else if (rate > 0) place.shrinker.emplace(trial.program, rate);
  else {
    finish(place, false);
    return true;
  }
  if (place.shrinker->program() == trial.program) place.forbidden = forbidden_in(trial);
  place.scenario.reset();
  return true;
}

void Shrinking::end() {
  for (auto& [target, place] : places_) {
    if (!place.finding) continue;
    if (!place.scenario) run(place, place.shrinker->program());
    finish(place, false);
  }
}

}  // namespace faultline
