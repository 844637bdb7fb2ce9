#include "stress/generate/draw.h"

#include <algorithm>
#include <string>
#include <vector>

#include "harness/target.h"
#include "stress/generate/action.h"
#include "stress/generate/draft.h"
#include "stress/generate/renumber.h"

namespace faultline {
namespace {

using Kind = Action::Kind;

constexpr int attempts = 200;
constexpr int most_pages = 3;
constexpr int most_actions = 7;  // more make too many states for the reference
constexpr int most_freed = 2;    // the kernel may take each such page at any time or never, which multiplies the outcomes

class Drawer {
 public:
  Drawer(std::mt19937_64& random, const Capabilities& can) : random_(random), can_(can) {}

  std::optional<Program> draw(const std::string& name) {
    for (int i = 0; i < attempts; ++i) {
      const std::optional<Program> program = normal(attempt(name));
      if (program && cannot_run(*program, can_).empty()) return program;
    }
    return std::nullopt;
  }

 private:
  // Not std::uniform_int_distribution: what it draws may differ between libraries, and a seed means the same everywhere.
  int below(int bound) { return static_cast<int>(random_() % static_cast<std::uint64_t>(bound)); }
  bool chance(int in) { return below(in) == 0; }

  Setting setting() {
    static constexpr Backing backings[] = {Backing::anon_private, Backing::anon_private, Backing::anon_private,
                                           Backing::anon_private, Backing::anon_shared,  Backing::stack,
                                           Backing::file_private, Backing::file_shared};
    Setting setting;
    setting.backing = backings[below(std::size(backings))];
    setting.populated = !chance(3);
    setting.pages = 1 + below(most_pages);
    const int warm = below(can_.system ? 5 : 1);
    if (can_.device_class == DeviceClass::pinned || (can_.pin && warm == 1)) setting.warm = Setting::Warm::pin;
    else if (can_.migrate && warm == 2) setting.warm = Setting::Warm::migrate;
    else if (warm > 2) setting.warm = Setting::Warm::load;
    return setting;
  }

  const Action& any(bool on_device) {
    int all = 0;
    const auto fits = [&](const Action& each) { return each.on_device == on_device && has(can_, each); };
    for (const Action& each : actions())
      if (fits(each)) all += each.often;
    int left = below(all);
    for (const Action& each : actions()) {
      if (!fits(each)) continue;
      left -= each.often;
      if (left < 0) return each;
    }
    return actions().front();
  }

  // An action that conflicts with the other one.
  const Action& against(const Action& other, bool on_device) {
    for (int i = 0; i < attempts; ++i)
      if (const Action& each = any(on_device); conflict(each, other) >= 2) return each;
    return any(on_device);
  }

  PageRange range(const Action& action, int pages) {
    const int first = below(pages);
    const int count = action.one_page ? 1 : 1 + below(pages - first);
    return {chance(8) ? Draft::b : Draft::a, first, count};
  }

  Program attempt(const std::string& name) {
    const Setting setting = this->setting();
    const bool below_root = chance(8);
    Draft draft(can_, setting, below_root);
    const int process = draft.process();
    const bool device = can_.system && !chance(6);
    std::vector<int> threads = {below_root ? 1 : draft.add_thread(process, false, process),
                                draft.add_thread(process, device, process)};
    if (chance(3)) threads.push_back(draft.add_thread(process, device && chance(2), process));
    const std::vector<int> first = threads;
    draft.warm_up(first);

    int freed = 0, wanted = 2 + below(most_actions - 1);
    const auto act = [&](int thread, const Action& action) {
      PageRange pages = range(action, setting.pages);
      if (pages.region >= static_cast<int>(draft.program().regions.size())) pages.region = Draft::a;
      if (action.kind == Kind::free) freed += pages.count;
      if (freed > most_freed && action.kind == Kind::free) return;
      if (!draft.add(thread, action, pages) || action.kind != Kind::fork) return;
      threads.push_back(draft.last_child());
      if (device && can_.inherited && chance(2) && draft.program().threads.size() < limits::threads) {
        const int child = draft.program().threads[static_cast<std::size_t>(draft.last_child())].process;
        threads.push_back(draft.add_thread(child, true, process));
      }
    };
    const auto on_device = [&](int thread) { return !draft.program().threads[static_cast<std::size_t>(thread)].via.cpu(); };
    const Action& one = any(on_device(threads[0]));
    act(threads[0], one);
    act(threads[1], against(one, on_device(threads[1])));
    for (wanted -= 2; wanted > 0; --wanted) {
      const int thread = threads[static_cast<std::size_t>(below(static_cast<int>(threads.size())))];
      act(thread, any(on_device(thread) || (device && chance(8))));
    }
    const std::vector<Statement>& said = draft.program().threads[static_cast<std::size_t>(first.front())].statements;
    const bool exits =
        std::ranges::any_of(said, [](const Statement& s) { return std::holds_alternative<op::Exit>(s.operation); });
    if (device && !exits && !below_root && !chance(3)) draft.probe({first[1], first[0]});
    return draft.finish(name);
  }

  std::mt19937_64& random_;
  const Capabilities& can_;
};

}  // namespace

std::optional<Program> draw(std::mt19937_64& random, const Capabilities& can, const std::string& name) {
  return Drawer(random, can).draw(name);
}

}  // namespace faultline
