#include "stress/campaign/campaign.h"

#include <algorithm>
#include <istream>
#include <utility>

#include "harness/language/diagnostic.h"
#include "harness/language/parser.h"
#include "harness/run/known_findings.h"

namespace faultline {
namespace {

using nlohmann::json;

constexpr std::uint64_t most_states = 40'000;  // of a program: nearly twice those of the largest written one

// The seed of a slice: another one for each, whatever ran before it.
std::uint64_t mixed(std::uint64_t seed, const std::string& target, const Item& item) {
  const std::string text = target + " " + item.scenario->program.name + " " + std::to_string(item.slices);
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return seed & 0xffffffff;  // for a person to type
}

json record_of(const std::string& target, const Item& item) {
  return {{"target", target},
          {"scenario", item.scenario->program.name},
          {"pool", pool_names[static_cast<int>(item.pool)]},
          {"number", item.number},
          {"slices", item.slices},
          {"seconds", item.seconds},
          {"iterations", item.iterations},
          {"allowed", item.allowed},
          {"seen", item.seen},
          {"races", item.races},
          {"closed", item.closed}};
}

Item item_of(const json& record) {
  Item item;
  const std::string pool = record.at("pool");
  item.pool = static_cast<Pool>(std::ranges::find(pool_names, pool) - std::begin(pool_names));
  if (item.pool > Pool::random) throw std::runtime_error("no pool: " + pool);
  record.at("number").get_to(item.number);
  record.at("slices").get_to(item.slices);
  record.at("seconds").get_to(item.seconds);
  record.at("iterations").get_to(item.iterations);
  record.at("allowed").get_to(item.allowed);
  record.at("seen").get_to(item.seen);
  record.at("races").get_to(item.races);
  record.at("closed").get_to(item.closed);
  return item;
}

// What a slice has told that has not ended: outcomes and reports of the kernel log.
void add_untold(const json& record, Trial& trial) {
  const std::string event = record.value("ev", "");
  if (event == "batch") {
    for (const json& outcome : record.at("outcomes")) {
      Tally& tally = trial.seen[outcome.at("texts").get<Outcome>()];
      tally.count += outcome.at("count").get<std::uint64_t>();
      tally.seed = record.value("seed", std::uint64_t{0});
    }
    trial.iterations += record.at("count").get<std::uint64_t>();
  } else if (event == "finding") {
    const std::string what = record.at("what"), why = record.at("why");
    if (what == "hang") trial.hang = why;
    if (what == "lost") trial.lost = why;
    if (what == "crash") trial.crash = why;
  } else if (event == "health") {
    SortedReports sorted = sort_reports(record.at("lines").get<std::vector<std::string>>(), trial.target, trial.kernel);
    trial.health.insert(trial.health.end(), sorted.other.begin(), sorted.other.end());
  }
}

}  // namespace

Campaign::Campaign(Options options) : options_(std::move(options)) {
  for (Scenario& each : options_.written) written_.push_back(std::make_shared<const Scenario>(std::move(each)));
  options_.written.clear();
}

Allowed Campaign::predicted(const Program& program, DeviceClass device_class) const {
  return options_.predictor(program, device_class,
                            [this](std::uint64_t states) { return states < most_states && !options_.stopped(); });
}

std::size_t Campaign::resume(std::istream& journal) {
  struct Known {
    std::string text, kernel, file;
  };
  std::map<std::string, Known> scenarios;  // by target and name
  std::size_t slices = 0;
  for (std::string line; std::getline(journal, line);) {
    const json record = json::parse(line, nullptr, false);
    if (!record.is_object()) continue;
    try {
      const std::string event = record.value("ev", ""), target = record.value("target", ""), name = record.value("scenario", "");
      if (event == "scenario") {
        scenarios[target + " " + name] = {record.value("text", ""), record.value("kernel", ""), record.value("file", "")};
      } else if (event == "slice") {
        const Known& known = scenarios[target + " " + name];
        Trial trial;
        trial.target = target;
        trial.kernel = known.kernel;
        trial.file = known.file;
        trial.program = parse(known.text, name);
        places_[target].untold = std::move(trial);
        places_[target].untold_text = known.text;
      } else if (event == "campaign_finding") {
        findings_.restore(finding_of(record));
      } else if (event == "campaign") {
        Place& place = places_[target];
        place.untold.reset();
        const Item item = item_of(record);
        std::erase_if(place.restored, [&](const Item& each) { return each.pool == item.pool && each.number == item.number; });
        place.restored.push_back(item);
        ++slices;
      } else if (const auto place = places_.find(target); place != places_.end() && place->second.untold) {
        add_untold(record, *place->second.untold);
      }
    } catch (const json::exception&) {  // a record of another program
    } catch (const std::runtime_error&) {}
  }
  for (const auto& [target, place] : places_)
    for (const Item& item : place.restored) {
      ++status_.scenarios;
      ++status_.by_pool[static_cast<int>(item.pool)];
      status_.iterations += item.iterations;
      status_.allowed += item.allowed;
      status_.seen += item.seen;
    }
  return slices;
}

Front& Campaign::front(const std::string& target, const Capabilities& can) {
  Place& place = places_[target];
  if (place.front) return *place.front;
  const auto predict = [this, device_class = can.device_class](const Program& program) {
    return predicted(program, device_class);
  };
  // Each target of a campaign gets other random programs.
  std::uint64_t seed = options_.seed;
  for (const char c : target) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  place.front = std::make_unique<Front>(can, predict, written_, seed, options_.seconds, options_.prefix);
  for (const Item& item : place.restored) place.front->restore(item);
  place.restored.clear();
  tell_untold(place, can);
  return *place.front;
}

// The part before was killed before it could judge this.
void Campaign::tell_untold(Place& place, const Capabilities& can) {
  if (!place.untold) return;
  Trial trial = *std::exchange(place.untold, std::nullopt);
  trial.allowed = project(predicted(trial.program, can.device_class), trial.program, can.sight);
  std::erase_if(trial.seen, [&](const auto& each) { return each.first.size() != trial.allowed.schema.size(); });
  for (const CampaignFinding& each : find(trial, place.untold_text)) options_.found(each.finding);
}

std::vector<CampaignFinding> Campaign::find(const Trial& trial, const std::string& text) {
  std::vector<CampaignFinding> added = findings_.add(trial, text, options_.clock());
  for (const CampaignFinding& each : added) options_.write("campaign_finding", to_json(each));
  return added;
}

std::optional<Work> Campaign::next(const std::string& target, const Capabilities& can) {
  const std::optional<Front::Slice> slice = front(target, can).next();
  if (!slice || options_.stopped()) return std::nullopt;
  Place& place = places_[target];
  place.current = slice->item;
  return Work{.scenario = slice->item->scenario, .seconds = slice->seconds, .seed = mixed(options_.seed, target, *slice->item)};
}

bool Campaign::told(const Trial& trial, bool closed) {
  Place& place = places_[trial.target];
  Item& item = *place.current;
  find(trial, item.scenario->text);
  Place::Before& before = place.before[&item];
  const Front::Told told{.seconds = trial.seconds - before.seconds,
                         .iterations = trial.iterations - before.iterations,
                         .seen = allowed_seen(trial),
                         .closed = closed || verdict(trial) == Verdict::forbidden};
  before = {trial.seconds, trial.iterations};
  if (item.slices == 0) {
    ++status_.scenarios;
    ++status_.by_pool[static_cast<int>(item.pool)];
    status_.allowed += item.allowed;
  }
  status_.iterations += told.iterations;
  status_.seen += told.seen - std::min(told.seen, item.seen);
  place.front->told(item, told);
  options_.write("campaign", record_of(trial.target, item));
  if (!place.front->is_done_with(item)) return false;
  place.before.erase(&item);
  place.front->forget(item);
  return true;
}

Campaign::Status Campaign::status() const {
  Status status = status_;
  for (const auto& [target, place] : places_)
    if (place.front) status.features += place.front->covered();
  status.findings = findings_.all().size();
  return status;
}

}  // namespace faultline
