#include "stress/generate/draft.h"

#include <algorithm>
#include <array>
#include <vector>

#include "harness/queries.h"

namespace faultline {
namespace {

using Kind = Action::Kind;

constexpr int initial = 100;  // stores write 1, 2, 3 ...
constexpr std::array<const char*, limits::processes> names = {"P", "C", "D", "E", "F", "G"};
constexpr Protection readable{.read = true, .write = false}, writable{.read = true, .write = true}, unreachable{};

bool is_file(Backing backing) { return backing == Backing::file_private || backing == Backing::file_shared; }

}  // namespace

Draft::Draft(const Capabilities& can, const Setting& setting, bool below_root)
    : can_(can), setting_(setting), below_root_(below_root) {
  program_.processes.push_back({below_root ? "R" : "P", -1, {}});
  if (is_file(setting.backing)) file();
  Region a{.name = "a", .owner = 0, .pages = setting.pages, .backing = setting.backing, .protection = writable};
  if (is_file(setting.backing)) a.file = 0;
  if (setting.populated) a.initial = initial;
  program_.regions.push_back(a);
  if (!below_root) return;
  program_.threads.push_back({"R.main", 0, {}, {}, {}});
  program_.processes.push_back({"P", 0, {}});
  program_.threads.push_back({"P", 1, {}, {}, {}});
  say(0, op::Fork{1});
}

int Draft::device() {
  if (program_.devices.empty()) program_.devices.push_back({"d", can_.device_class, {}});
  return 0;
}

int Draft::file() {
  if (program_.files.empty()) program_.files.push_back({"f", 0, File::Kind::memory, setting_.pages, {}});
  return 0;
}

int Draft::add_thread(int process, bool on_device, int opener) {
  const std::string& owner = program_.processes[static_cast<std::size_t>(process)].name;
  Thread thread{owner + "." + (on_device ? "gpu" : "cpu"), process, {}, {}, {}};
  const auto taken = [&](const std::string& name) {
    return std::ranges::any_of(program_.threads, [&](const Thread& each) { return each.name == name; });
  };
  for (int i = 2; taken(thread.name); ++i) thread.name = owner + "." + (on_device ? "gpu" : "cpu") + std::to_string(i);
  if (on_device) thread.via = {device(), opener};
  program_.threads.push_back(thread);
  return static_cast<int>(program_.threads.size()) - 1;
}

void Draft::meet(const std::string& barrier, const std::vector<int>& threads) {
  if (threads.size() < 2) return;
  program_.barriers.push_back(barrier);
  for (const int thread : threads) say(thread, op::Barrier{static_cast<int>(program_.barriers.size()) - 1});
}

void Draft::warm_up(const std::vector<int>& threads) {
  if (setting_.warm == Setting::Warm::none) return;
  const auto on_device =
      std::ranges::find_if(threads, [&](int thread) { return !program_.threads[static_cast<std::size_t>(thread)].via.cpu(); });
  const int thread = on_device == threads.end() ? threads.front() : *on_device;
  const Via via{device(), process()};
  const PageRange all{a, 0, setting_.pages};
  switch (setting_.warm) {
    case Setting::Warm::none: break;
    case Setting::Warm::load:
      for (int page = 0; page < setting_.pages; ++page) say(thread, op::Load{{a, page}, via});
      break;
    case Setting::Warm::migrate: say(thread, op::Migrate{all, true, via}); break;
    case Setting::Warm::pin: say(thread, op::Pin{all, false, via}); break;
  }
  meet("warm", threads);
}

int Draft::fork(int thread) {
  const int process = static_cast<int>(program_.processes.size());
  if (process == limits::processes || program_.threads.size() == limits::threads) return -1;
  const int parent = program_.threads[static_cast<std::size_t>(thread)].process;
  const std::string name = names[static_cast<std::size_t>(process - (below_root_ ? 1 : 0))];
  program_.processes.push_back({name, parent, {}});
  program_.threads.push_back({name, process, {}, {}, {}});
  last_child_ = static_cast<int>(program_.threads.size()) - 1;
  return process;
}

std::optional<Operation> Draft::operation(int thread, const Action& action, PageRange range) {
  const Thread& who = program_.threads[static_cast<std::size_t>(thread)];
  const Cell cell{range.region, range.first};
  const Via via = action.on_device ? (who.via.cpu() ? Via{device(), who.process} : who.via) : Via{};
  switch (action.kind) {
    case Kind::load:
    case Kind::device_load: return op::Load{cell, via};
    case Kind::store:
    case Kind::device_store: return op::Store{cell, ++value_, via};
    case Kind::direct_read: return op::DirectRead{cell, ++value_};
    case Kind::direct_write: return op::DirectWrite{cell};
    case Kind::munmap: return op::Munmap{range};
    case Kind::protect_read: return op::Mprotect{range, readable};
    case Kind::protect_none: return op::Mprotect{range, unreachable};
    case Kind::protect_write: return op::Mprotect{range, writable};
    case Kind::move:
    case Kind::move_pages:
      if (program_.regions.size() == 1)
        program_.regions.push_back({.name = "b", .owner = 0, .pages = setting_.pages, .backing = Backing::none});
      return op::Mremap{range, {range.region == a ? b : a, range.first}, action.kind == Kind::move_pages};
    case Kind::replace: return op::Mmap{range, Backing::anon_private, writable};
    case Kind::replace_shared: return op::Mmap{range, Backing::anon_shared, writable};
    case Kind::dontneed: return op::Madvise{range, op::Advice::dontneed};
    case Kind::free: return op::Madvise{range, op::Advice::free};
    case Kind::pageout: return op::Madvise{range, op::Advice::pageout};
    case Kind::remove: return op::Madvise{range, op::Advice::remove};
    case Kind::truncate:
      if (program_.files.empty()) return std::nullopt;
      return op::Truncate{0, range.first};
    case Kind::msync: return op::Msync{range};
    case Kind::populate_read: return op::Madvise{range, op::Advice::populate_read};
    case Kind::populate_write: return op::Madvise{range, op::Advice::populate_write};
    case Kind::dontfork: return op::Madvise{range, op::Advice::dontfork};
    case Kind::wipeonfork: return op::Madvise{range, op::Advice::wipeonfork};
    case Kind::keeponfork: return op::Madvise{range, op::Advice::keeponfork};
    case Kind::fork: {
      const int child = fork(thread);
      if (child < 0) return std::nullopt;
      return op::Fork{child};
    }
    case Kind::exit:
      if (program_.processes[static_cast<std::size_t>(who.process)].parent < 0) return std::nullopt;
      return op::Exit{};
    case Kind::kill: {
      const auto child = std::ranges::find(program_.processes, who.process, &Process::parent);
      if (child == program_.processes.end()) return std::nullopt;
      return op::Kill{static_cast<int>(child - program_.processes.begin())};
    }
    case Kind::to_device: return op::Migrate{range, true, via};
    case Kind::to_device_short: return op::Migrate{range, true, via, range.count};
    case Kind::to_system: return op::Migrate{range, false, via};
    case Kind::to_system_short: return op::Migrate{range, false, via, range.count};
    case Kind::snapshot: return op::Snapshot{range, via};
    case Kind::exclusive: return op::Exclusive{range, false, via};
    case Kind::check_exclusive: return op::Exclusive{range, true, via};
    case Kind::pin: return op::Pin{range, false, via};
    case Kind::pin_read: return op::Pin{range, true, via};
    case Kind::unpin: return op::Unpin{range, via};
    case Kind::open: return op::Open{device()};
    case Kind::close: return op::Close{device()};
  }
  return std::nullopt;
}

bool Draft::add(int thread, const Action& action, PageRange range) {
  const std::vector<Statement>& before = statements(thread);
  if (!before.empty() && std::holds_alternative<op::Exit>(before.back().operation)) return false;
  const std::optional<Operation> made = operation(thread, action, range);
  if (!made) return false;
  say(thread, *made);
  return true;
}

void Draft::probe(const std::vector<int>& threads) {
  meet("end", threads);
  const Via via{device(), process()};
  for (int page = 0; page < setting_.pages; ++page) say(threads.front(), op::Load{{a, page}, via});
}

Program Draft::finish(const std::string& name) {
  program_.name = name;
  if (below_root_) {
    // The root ends P, unless P does so itself.
    const bool exits = any_operation(program_, [](const Operation& o) { return std::holds_alternative<op::Exit>(o); });
    if (!exits) say(0, op::Kill{1});
    say(0, op::Wait{1});
  }
  const auto observe = [&](Observe what) {
    if (program_.observes.size() < limits::observes) program_.observes.push_back(what);
  };
  const int processes = static_cast<int>(program_.processes.size());
  for (int region = 0; region < static_cast<int>(program_.regions.size()); ++region)
    for (int page = 0; page < setting_.pages; ++page) {
      const Cell cell{region, page};
      for (int process = 0; process < processes; ++process) {
        observe({.kind = Observe::Kind::value, .process = process, .cell = cell});
        const bool holds_device = !program_.devices.empty() && !(below_root_ && process == 0);
        if (can_.sight.location && holds_device) observe({.kind = Observe::Kind::where, .process = process, .cell = cell});
        const int parent = program_.processes[static_cast<std::size_t>(process)].parent;
        if (can_.sight.identity && parent >= 0)
          observe({.kind = Observe::Kind::same, .process = parent, .cell = cell, .process2 = process, .cell2 = cell});
      }
    }
  return program_;
}

}  // namespace faultline
