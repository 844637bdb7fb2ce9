#include "stress/campaign/front.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "harness/language/printer.h"
#include "harness/target.h"
#include "stress/generate/draw.h"

namespace faultline {
namespace {

constexpr double shares[pools] = {0.5, 0.25, 0.25};  // of the time after each written scenario had its first slice
constexpr std::ptrdiff_t most_kept = 64;             // generated ones that may get more slices, of each pool
constexpr std::uint64_t most_slices = 8;             // of a generated one
constexpr int candidates = 4;                        // random programs of which the newest is taken
constexpr int attempts = 50;
constexpr int revisits = 3;  // one slice in so many of a generated pool goes to a program that was tried before

bool is_decided(const Allowed& allowed) {
  return allowed.complete && allowed.undefined.empty() && allowed.unknown.empty() && allowed.waiting.empty();
}

// For a generated program nobody needs to know a reason.
bool is_usable(const Allowed& allowed, const Program& program, const Capabilities& can) {
  return is_decided(allowed) && allowed.known_bugs.empty() && allowed.findings.empty() && !allowed.outcomes.empty() &&
         cannot_run(program, allowed, can).empty();
}

// More of it is worth more time: a scenario that has shown all its outcomes may show a forbidden one, but not as likely as one of
// which half was never seen.
double interest(const Item& item) {
  const double unseen = item.allowed == 0 ? 1
                                          : static_cast<double>(item.allowed - std::min(item.seen, item.allowed)) /
                                                static_cast<double>(item.allowed);
  return (item.races ? 1 : 0.3) * (1 + std::log2(1 + static_cast<double>(item.allowed))) * (0.5 + unseen);
}

}  // namespace

Front::Front(const Capabilities& can, Predict predict, const std::vector<std::shared_ptr<const Scenario>>& written,
             std::uint64_t seed, double seconds, const std::string& prefix)
    : can_(can), predict_(std::move(predict)), seed_(seed), seconds_(seconds), prefix_(prefix), enumeration_(can) {
  order(written);
}

void Front::meet(Item& item, const Allowed& allowed) {
  item.allowed = allowed.outcomes.size();
  item.races = allowed.outcomes.size() > 1;
  known_.merge(features(item.scenario->program));
  known_.merge(features(item.scenario->program, allowed));
}

// Each next one is that with the most features that no earlier one has; races count double.
void Front::order(const std::vector<std::shared_ptr<const Scenario>>& written) {
  struct Candidate {
    std::unique_ptr<Item> item;
    Allowed allowed;
    Features all;
  };
  std::vector<Candidate> left;
  std::uint64_t number = 0;
  for (const std::shared_ptr<const Scenario>& scenario : written) {
    ++number;
    if (!cannot_run(scenario->program, can_).empty()) continue;
    Allowed allowed = predict_(scenario->program);
    if (!is_decided(allowed) || !cannot_run(scenario->program, allowed, can_).empty()) continue;
    Features all = features(scenario->program);
    all.merge(features(scenario->program, allowed));
    auto item = std::make_unique<Item>(Item{.scenario = scenario, .pool = Pool::written, .number = number});
    left.push_back({std::move(item), std::move(allowed), std::move(all)});
  }
  while (!left.empty()) {
    const auto value = [&](const Candidate& each) {
      return (1 + fresh(each.all, known_)) * (each.allowed.outcomes.size() > 1 ? 2 : 1);
    };
    const auto best = std::ranges::max_element(left, {}, value);
    meet(*best->item, best->allowed);
    items_.push_back(std::move(best->item));
    left.erase(best);
  }
  written_ = items_.size();
}

// An eighth of the time for the first round. Most bugs are no races: they show in the first iterations of the right scenario, and
// the sooner that one has its turn the better. Races get their time after it.
double Front::first_slice() const {
  return std::clamp(seconds_ / 8 / static_cast<double>(std::max<std::size_t>(written_, 1)), 0.03, 1.5);
}
double Front::later_slice() const { return std::clamp(seconds_ / 200, 0.2, 3.0); }

std::optional<Program> Front::drawn() {
  std::optional<Program> best;
  std::size_t most = 0;
  // Each has a generator of its own, so that the n-th one is the same whatever came before.
  for (int i = 0; i < candidates; ++i) {
    std::seed_seq seeds{seed_ >> 32, seed_, random_ >> 32, random_, std::uint64_t(i)};
    std::mt19937_64 random(seeds);
    const std::optional<Program> program = draw(random, can_, "random-" + std::to_string(random_));
    if (!program) return best;
    const std::size_t value = 1 + fresh(features(*program), known_);
    if (value > most) most = value, best = program;
  }
  return best;
}

Item* Front::made(Pool pool) {
  for (int i = 0; i < attempts; ++i) {
    if (pool == Pool::random) ++random_;
    std::optional<Program> program = pool == Pool::small ? enumeration_.next() : drawn();
    if (!program) return nullptr;
    const std::uint64_t number = pool == Pool::small ? enumeration_.given() : random_;
    const Allowed allowed = predict_(*program);
    if (!is_usable(allowed, *program, can_)) continue;
    auto scenario = std::make_shared<Scenario>();
    scenario->text = print(*program);
    scenario->file = prefix_ + program->name + ".scn";
    scenario->program = std::move(*program);
    items_.push_back(std::make_unique<Item>(Item{.scenario = scenario, .pool = pool, .number = number}));
    meet(*items_.back(), allowed);
    return items_.back().get();
  }
  return nullptr;
}

Item* Front::most_promising(Pool pool) {
  Item* best = nullptr;
  double most = 0;
  for (const std::unique_ptr<Item>& item : items_) {
    if (item->pool != pool || item->closed) continue;
    const double value = interest(*item) / (0.01 + item->seconds);
    if (value > most) most = value, best = item.get();
  }
  return best;
}

std::optional<Front::Slice> Front::next() {
  for (; first_ < written_; ++first_)
    if (Item* item = items_[first_].get(); item->slices == 0 && !item->closed) return Slice{item, first_slice()};
  // The pool that is furthest behind its share. If it has nothing, the next one.
  int all[pools] = {0, 1, 2};
  std::ranges::sort(all, {}, [&](int pool) { return spent_[pool] / shares[pool]; });
  for (const int index : all) {
    const auto pool = static_cast<Pool>(index);
    Item* item = nullptr;
    if (pool != Pool::written && ++turn_ % revisits != 0) item = made(pool);
    if (!item) item = most_promising(pool);
    if (!item && pool != Pool::written) item = made(pool);
    if (item) return Slice{item, later_slice()};
    spent_[index] += later_slice();  // do not ask it each time
  }
  return std::nullopt;
}

void Front::told(Item& item, const Told& what) {
  if (item.slices++ == 0) ++tried_[static_cast<std::size_t>(item.pool)];
  item.seconds += what.seconds;
  item.iterations += what.iterations;
  item.seen = std::max(item.seen, what.seen);
  item.closed = item.closed || what.closed;
  // The first round of written scenarios is no part of the shares.
  if (first_ == written_) spent_[static_cast<std::size_t>(item.pool)] += what.seconds;
}

// Of the generated ones only some are kept, for a while: those that have something left to show.
bool Front::is_done_with(const Item& item) const {
  if (item.pool == Pool::written || item.closed) return item.closed;
  const auto kept = std::ranges::count_if(items_, [&](const std::unique_ptr<Item>& each) { return each->pool == item.pool; });
  return !item.races || item.slices >= most_slices || kept > most_kept;
}

void Front::forget(const Item& item) {
  if (item.pool == Pool::written) return;
  std::erase_if(items_, [&](const std::unique_ptr<Item>& each) { return each.get() == &item; });
}

void Front::restore(const Item& item) {
  const auto same = std::ranges::find_if(
      items_, [&](const std::unique_ptr<Item>& each) { return each->pool == item.pool && each->number == item.number; });
  if (item.pool == Pool::small)
    while (enumeration_.given() < item.number && !enumeration_.done()) enumeration_.next();
  if (item.pool == Pool::random) random_ = std::max(random_, item.number);
  ++tried_[static_cast<std::size_t>(item.pool)];
  if (same == items_.end()) return;  // a generated one: what it could show is behind us
  const std::shared_ptr<const Scenario> scenario = (*same)->scenario;
  const std::size_t allowed = (*same)->allowed;
  const bool races = (*same)->races;
  **same = item;
  (*same)->scenario = scenario;
  (*same)->allowed = allowed;
  (*same)->races = races;
}

}  // namespace faultline
