#include "harness/language/random_program.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "harness/language/check.h"
#include "harness/language/names.h"
#include "harness/language/texts.h"
#include "harness/language/waits.h"
#include "harness/language/words.h"
#include "harness/outcome.h"

namespace faultline::test {
namespace {

class Generator {
 public:
  explicit Generator(std::mt19937& random) : random_(random) {}

  Program run() {
    program_.name = "random-" + std::to_string(below(1000));
    const char* docs[] = {"", "One sentence.", "Quotes \" and \\ and\nlines, tabs\t, UTF-8 \xC3\xA9.", " spaces "};
    program_.doc = docs[below(4)];
    const auto device_class = static_cast<DeviceClass>(below(static_cast<int>(words::device_classes.size())));
    if (chance(2)) program_.devices.push_back({"d", device_class, {}});
    make_processes();
    make_regions();
    make_threads();
    add_forks();
    for (Thread& thread : program_.threads) fill(thread);
    make_observes();
    make_claims();
    return std::move(program_);
  }

 private:
  int below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  bool chance(int in) { return below(in) == 0; }
  int processes() const { return static_cast<int>(program_.processes.size()); }

  void make_processes() {
    const int count = 1 + below(4);
    for (int i = 0; i < count; i++) {
      const int parent = i == 0 || chance(4) ? -1 : below(i);
      program_.processes.push_back({"P" + std::to_string(i), parent, {}});
    }
  }

  void make_regions() {
    for (int process = 0; process < processes(); process++) {
      if (program_.processes[process].parent >= 0) continue;
      if (chance(2) && program_.files.size() < limits::files) {
        const File::Kind kind = chance(2) ? File::Kind::disk : File::Kind::memory;
        program_.files.push_back({"f" + std::to_string(program_.files.size()), process, kind, below(5), {}});
      }
      for (int count = 1 + below(2); count > 0; count--) {
        Region region;
        region.name = std::string(1, static_cast<char>('a' + program_.regions.size()));
        region.owner = process;
        region.pages = 1 + below(4);
        std::tie(region.backing, region.file) = backing(process);
        if (region.backing != Backing::none) {
          region.protection = protection();
          const bool fits = region.file < 0 || region.pages <= program_.files[region.file].pages;
          if (fits && chance(2)) region.initial = below(limits::value + 1);
        }
        program_.regions.push_back(region);
      }
    }
  }

  // A random backing: a file only if the root has one; `none` is possible too.
  std::pair<Backing, int> backing(int root) {
    if (anon_only_) return {static_cast<Backing>(below(2)), -1};
    for (int i = 0; i < static_cast<int>(program_.files.size()); i++) {
      if (program_.files[i].owner == root && chance(2)) return {chance(2) ? Backing::file_private : Backing::file_shared, i};
    }
    return {static_cast<Backing>(below(4)), -1};
  }

  Operation mmap(const Thread& thread) {
    auto [kind, file] = backing(root_of(program_, thread.process));
    if (kind == Backing::none) kind = Backing::anon_private;
    return op::Mmap{range(thread), kind, protection(), file};
  }

  Operation truncate(const Thread& thread) {
    for (int i = 0; i < static_cast<int>(program_.files.size()); i++) {
      if (program_.files[i].owner == root_of(program_, thread.process)) return op::Truncate{i, below(5)};
    }
    return op::Msync{range(thread)};
  }

  // Makes a main thread for every child and some roots, and another thread for some processes. The order is random, except
  // that main threads are in the order of their processes.
  void make_threads() {
    for (int process = 0; process < processes(); process++) {
      const std::string& name = program_.processes[process].name;
      const bool child = program_.processes[process].parent >= 0;
      const bool main = child || chance(3);
      Thread other{name + ".t", process, {}, {}, {}};
      if (!program_.devices.empty() && chance(2)) other.via = {0, ancestor(process)};
      const bool has_other = !main || chance(3);
      if (has_other && chance(2)) program_.threads.push_back(other);
      if (main) program_.threads.push_back({name, process, {}, {}, {}});
      if (has_other && (program_.threads.empty() || !any_thread(name + ".t"))) program_.threads.push_back(other);
    }
  }

  bool any_thread(const std::string& name) const { return find_named(program_.threads, name) >= 0; }

  int ancestor(int process) {
    while (program_.processes[process].parent >= 0 && chance(2)) process = program_.processes[process].parent;
    return process;
  }

  void add_forks() {
    for (int process = 0; process < processes(); process++) {
      const int parent = program_.processes[process].parent;
      if (parent < 0) continue;
      std::vector<Thread*> candidates;
      for (Thread& thread : program_.threads) {
        if (thread.process == parent) candidates.push_back(&thread);
      }
      candidates[below(static_cast<int>(candidates.size()))]->statements.push_back({"", op::Fork{process}, {}});
    }
  }

  void fill(Thread& thread) {
    // A root has a main thread only if the thread has statements.
    for (int count = (thread.statements.empty() ? 1 : 0) + below(5); count > 0; count--) {
      Statement statement;
      statement.operation = operation(thread);
      const bool result =
          !std::holds_alternative<op::Barrier>(statement.operation) && !std::holds_alternative<op::Delay>(statement.operation);
      if (result && chance(2)) statement.name = "r" + std::to_string(thread.statements.size());
      thread.statements.push_back(statement);
    }
    if (chance(5)) thread.statements.push_back({"", op::Exit{}, {}});
  }

  Operation operation(const Thread& thread) {
    const bool device = !program_.devices.empty();
    switch (below(device ? 24 : 17)) {
      case 0:
      case 1: return op::Load{cell(thread), via(thread, true)};
      case 2: return op::Store{cell(thread), below(limits::value + 1), via(thread, true)};
      case 3: return mmap(thread);
      case 4: return op::Munmap{range(thread)};
      case 5: return op::Mprotect{range(thread), protection()};
      case 6: return mremap(thread);
      case 7: return op::Madvise{range(thread), static_cast<op::Advice>(below(op::advice_count))};
      case 8: return op::Kill{below(processes())};
      case 9: return wait(thread);
      case 10: return barrier();
      case 11: return op::Delay{chance(3) ? 1000 * below(20) : below(5000)};
      case 12: return truncate(thread);
      case 13: return op::Msync{range(thread)};
      case 14: return op::DirectRead{cell(thread), below(limits::value + 1)};
      case 15: return op::DirectWrite{cell(thread)};
      case 16: return userfault(thread);
      case 17: return op::Open{0};
      case 18: return op::Close{0};
      case 19: return op::Migrate{range(thread), chance(2), via(thread, false), chance(4) ? 1 + below(limits::allocations) : 0};
      case 20: return op::Pin{range(thread), chance(2), via(thread, false)};
      case 21: return op::Unpin{range(thread), via(thread, false)};
      case 22: return op::Exclusive{range(thread), chance(2), via(thread, false)};
      default: return op::Snapshot{range(thread), via(thread, false)};
    }
  }

  Operation userfault(const Thread& thread) {
    if (!anon_only_) return op::Msync{range(thread)};
    switch (below(6)) {
      case 0: return op::UffdRegister{range(thread), static_cast<op::UffdRegister::Mode>(below(3))};
      case 1: return op::UffdUnregister{range(thread)};
      case 2: return op::UffdCopy{cell(thread), below(limits::value + 1)};
      case 3: return op::UffdZero{range(thread)};
      case 4: return op::UffdProtect{range(thread), chance(2)};
      default: return op::UffdWake{range(thread)};
    }
  }

  Operation wait(const Thread& thread) {
    for (int process = 0; process < processes(); process++) {
      if (program_.processes[process].parent == thread.process) return op::Wait{process};
    }
    return op::Delay{1};
  }

  // Barriers are numbered by their first use.
  Operation barrier() {
    const int known = static_cast<int>(program_.barriers.size());
    const int index = below(std::min(known + 1, limits::barriers));
    if (index == known) program_.barriers.push_back("go" + std::to_string(index));
    return op::Barrier{index};
  }

  Operation mremap(const Thread& thread) {
    const Cell to = cell(thread);
    PageRange from = range(thread);
    from.count = std::min(from.count, program_.regions[to.region].pages - to.page);
    return op::Mremap{from, to, chance(3)};
  }

  Via via(const Thread& thread, bool cpu_too) {
    if (program_.devices.empty() || (cpu_too && chance(2))) return {};
    return {0, ancestor(thread.process)};
  }

  int region_of(int process) {
    const int root = root_of(program_, process);
    std::vector<int> own;
    for (int i = 0; i < static_cast<int>(program_.regions.size()); i++) {
      if (program_.regions[i].owner == root) own.push_back(i);
    }
    return own[below(static_cast<int>(own.size()))];
  }

  Cell cell(int process) {
    const int region = region_of(process);
    return {region, below(program_.regions[region].pages)};
  }
  Cell cell(const Thread& thread) { return cell(thread.process); }

  PageRange range(const Thread& thread) {
    const Cell first = cell(thread);
    return {first.region, first.page, 1 + below(program_.regions[first.region].pages - first.page)};
  }

  Protection protection() { return {chance(2), chance(2)}; }

  void make_observes() {
    for (int count = below(5); count > 0; count--) {
      Observe observe;
      observe.process = below(processes());
      observe.cell = cell(observe.process);
      observe.kind = static_cast<Observe::Kind>(below(4));
      if (observe.kind == Observe::Kind::same) {
        observe.process2 = below(processes());
        observe.cell2 = cell(observe.process2);
      }
      std::vector<Observe>& all = program_.observes;
      if (std::find(all.begin(), all.end(), observe) == all.end()) all.push_back(observe);
    }
  }

  void make_claims() {
    const std::vector<Observable> observables = schema(program_);
    if (observables.empty()) return;
    for (int count = below(4); count > 0; count--) {
      program_.claims.push_back({static_cast<Claim::Kind>(below(3)), condition(observables, 4), {}});
    }
  }

  Condition condition(const std::vector<Observable>& observables, int depth) {
    Condition result;
    result.kind = static_cast<Condition::Kind>(below(depth > 0 ? 5 : 2));
    if (result.kind == Condition::Kind::equal || result.kind == Condition::Kind::not_equal) {
      const Observable& observable = observables[below(static_cast<int>(observables.size()))];
      const Texts texts(program_, observable);
      result.key = observable.key;
      result.value = texts.words()[below(static_cast<int>(texts.words().size()))];
      if (chance(2) && observable.kind == Observable::Kind::result) snapshot_value(observable, result.value);
      if (chance(2) && observable.kind == Observable::Kind::events) result.value = std::string("DSFUER").substr(below(6));
      return result;
    }
    const int parts = result.kind == Condition::Kind::negation ? 1 : 2 + below(2);
    for (int i = 0; i < parts; i++) result.parts.push_back(condition(observables, depth - 1));
    return result;
  }

  void snapshot_value(const Observable& observable, std::string& value) {
    const Operation& operation = program_.threads[observable.thread].statements[observable.statement].operation;
    const auto* snapshot = std::get_if<op::Snapshot>(&operation);
    if (!snapshot) return;
    value.clear();
    for (int i = 0; i < snapshot->range.count; i++) value += "!.rwzZdDx"[below(9)];
  }

  std::mt19937& random_;
  const bool anon_only_ = chance(3);  // userfaultfd is for such a scenario
  Program program_;
};

}  // namespace

Program random_program(std::mt19937& random) {
  Program program = Generator(random).run();
  while (!wait_for_ever(program).empty()) program = Generator(random).run();
  return program;
}

}  // namespace faultline::test
