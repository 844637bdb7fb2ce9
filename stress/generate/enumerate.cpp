#include "stress/generate/enumerate.h"

#include <algorithm>
#include <functional>
#include <string>

#include "harness/target.h"
#include "stress/generate/canonical.h"
#include "stress/generate/renumber.h"

namespace faultline {
namespace {

using Kind = Action::Kind;

constexpr int a = Draft::a;

// The state in which the pages are when the threads race, the one in which most can go wrong first.
std::vector<Setting> settings(const Capabilities& can) {
  const bool pinned = can.device_class == DeviceClass::pinned;
  const Setting::Warm warm = pinned ? Setting::Warm::pin : can.system ? Setting::Warm::load : Setting::Warm::none;
  std::vector<Setting> all = {{.warm = warm}, {.populated = false, .warm = warm}, {.pages = 2, .warm = warm}};
  if (can.migrate) all.push_back({.warm = Setting::Warm::migrate});
  all.push_back({.backing = Backing::anon_shared, .warm = warm});
  all.push_back({.backing = Backing::file_private, .warm = warm});
  all.push_back({.backing = Backing::file_shared, .warm = warm});
  all.push_back({});
  all.push_back({.populated = false});
  if (can.pin && !pinned) all.push_back({.warm = Setting::Warm::pin});
  if (can.migrate) all.push_back({.pages = 2, .warm = Setting::Warm::migrate});
  all.push_back({.pages = 2});
  all.push_back({.backing = Backing::anon_shared});
  return all;
}

}  // namespace

Enumeration::Enumeration(const Capabilities& can) : can_(can) {
  add_pairs();
  add_levels();
}

// Each unordered pair once, unless the order means something: the first action is the CPU's where only one is.
void Enumeration::add_pairs() {
  for (const Action& one : actions())
    for (const Action& other : actions())
      if (has(can_, one) && has(can_, other) && one.kind <= other.kind)
        if (const int weight = conflict(one, other); weight > 0) pairs_.push_back({&one, &other, weight});
  std::ranges::stable_sort(pairs_, std::ranges::greater{},
                           [](const Pair& pair) { return 1000 * pair.weight + pair.one->often * pair.other->often; });
}

void Enumeration::add_levels() {
  std::vector<const Action*> thirds = {nullptr};
  for (const Action& each : actions())
    if (has(can_, each) && each.kind != Kind::exit) thirds.push_back(&each);
  std::ranges::stable_sort(thirds.begin() + 1, thirds.end(), std::ranges::greater{}, &Action::often);
  for (const Action* third : thirds)
    for (const bool first : {false, true}) {
      if (first && !third) continue;
      for (const Setting& setting : settings(can_)) {
        const PageRange all{a, 0, setting.pages}, head{a, 0, 1}, tail{a, setting.pages - 1, 1};
        levels_.push_back({setting, all, all, third, first});
        if (setting.pages == 1) continue;
        levels_.push_back({setting, all, tail, third, first});
        levels_.push_back({setting, head, tail, third, first});
        levels_.push_back({setting, head, all, third, first});
      }
    }
}

std::optional<Program> Enumeration::make(const Pair& pair, const Level& level) const {
  const auto is = [&pair](Kind kind) { return pair.one->kind == kind || pair.other->kind == kind; };
  Frame frame = pair.one->on_device ? Frame::two_gpus : pair.other->on_device ? Frame::cpu_and_gpu : Frame::two_cpus;
  if (is(Kind::exit) || is(Kind::kill)) frame = Frame::ending;
  Draft draft(can_, level.setting, frame == Frame::ending);
  const int process = draft.process();
  // Of an ending process the main thread acts; one that its parent kills has it act too.
  const int first = frame == Frame::ending ? 1 : draft.add_thread(process, frame == Frame::two_gpus, process);
  const bool second_on_device = pair.other->on_device || (frame == Frame::ending && pair.one->on_device);
  const int second = draft.add_thread(process, second_on_device, process);
  const std::vector<int> both = {first, second};
  draft.warm_up(both);

  const auto act = [&](int thread, const Action& action, PageRange range) {
    if (action.one_page) range.count = 1;
    if (action.kind == Kind::kill) return frame == Frame::ending;  // the root does it
    const bool done = draft.add(thread, action, range);
    // A child tells what it got, and changes it.
    if (done && action.kind == Kind::fork)
      for (const Kind kind : {Kind::load, Kind::store})
        draft.add(draft.last_child(), faultline::action(kind), {a, range.first, 1});
    return done;
  };
  const bool swapped = frame == Frame::ending && !is(Kind::kill) && pair.other->kind == Kind::exit;
  const Action &one = swapped ? *pair.other : *pair.one, &other = swapped ? *pair.one : *pair.other;
  if (level.third && level.first && one.kind == Kind::exit) return std::nullopt;
  if (!act(first, one, level.one) || !act(second, other, level.other)) return std::nullopt;
  if (level.third && !act(level.first ? first : second, *level.third, level.first ? level.one : level.other)) return std::nullopt;
  if (frame == Frame::cpu_and_gpu || frame == Frame::two_gpus) draft.probe({second, first});
  return draft.finish("small-" + std::to_string(given_ + 1));
}

std::optional<Program> Enumeration::next(std::size_t patience) {
  for (; level_ < levels_.size() && patience > 0; --patience) {
    const std::optional<Program> made = make(pairs_[pair_], levels_[level_]);
    if (++pair_ == pairs_.size()) pair_ = 0, ++level_;
    if (!made) continue;
    const std::optional<Program> program = normal(*made);
    if (!program || !cannot_run(*program, can_).empty()) continue;
    if (!seen_.insert(std::hash<std::string>{}(canonical(*program))).second) continue;
    ++given_;
    return program;
  }
  return std::nullopt;
}

}  // namespace faultline
