#include "stress/generate/renumber.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "harness/language/diagnostic.h"
#include "harness/language/parser.h"
#include "harness/language/printer.h"

namespace faultline {
namespace {

// The parts that stay, in their new order.
template <typename Part>
std::vector<Part> reordered(const std::vector<Part>& parts, const std::vector<int>& numbers) {
  std::vector<Part> result(static_cast<std::size_t>(std::ranges::count_if(numbers, [](int to) { return to != left_out; })));
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (numbers[i] != left_out) result[static_cast<std::size_t>(numbers[i])] = parts[i];
  return result;
}

class Renumbering {
 public:
  explicit Renumbering(const Numbers& numbers) : numbers_(numbers) {}

  // Each gives whether what it names stays.
  bool region(int& index) const { return change(index, numbers_.regions); }
  bool process(int& index) const { return change(index, numbers_.processes); }
  bool file(int& index) const { return index < 0 || change(index, numbers_.files); }
  bool via(Via& via) const {
    return via.cpu() || (change(via.device, numbers_.devices) && change(via.opener, numbers_.processes));
  }

  template <typename Op>
  bool operation(Op& o) const {
    bool stays = true;
    if constexpr (requires { o.cell; }) stays = region(o.cell.region) && stays;
    if constexpr (requires { o.range; }) stays = region(o.range.region) && stays;
    if constexpr (requires { o.from; }) stays = region(o.from.region) && stays;
    if constexpr (requires { o.to; }) stays = region(o.to.region) && stays;
    if constexpr (requires { o.via; }) stays = via(o.via) && stays;
    if constexpr (requires { o.file; }) stays = file(o.file) && stays;
    if constexpr (requires { o.process; }) stays = process(o.process) && stays;
    if constexpr (requires { o.barrier; }) stays = change(o.barrier, numbers_.barriers) && stays;
    if constexpr (requires { o.device; }) stays = change(o.device, numbers_.devices) && stays;
    return stays;
  }

 private:
  static bool change(int& index, const std::vector<int>& numbers) {
    index = numbers[static_cast<std::size_t>(index)];
    return index != left_out;
  }

  const Numbers& numbers_;
};

std::vector<int> counting(std::size_t count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

}  // namespace

Numbers same_numbers(const Program& program) {
  return {counting(program.devices.size()),   counting(program.files.size()),   counting(program.regions.size()),
          counting(program.processes.size()), counting(program.threads.size()), counting(program.barriers.size())};
}

void leave_out(std::vector<int>& numbers, int index) {
  const int gone = std::exchange(numbers[static_cast<std::size_t>(index)], left_out);
  if (gone == left_out) return;
  for (int& number : numbers)
    if (number > gone) --number;
}

Program renumbered(const Program& program, const Numbers& given) {
  Program result = program;
  result.claims.clear();
  Numbers numbers = given;
  // What goes because something else goes: children of a process, then what a process owns.
  for (bool again = true; again;) {
    again = false;
    for (std::size_t i = 0; i < program.processes.size(); ++i) {
      const int parent = program.processes[i].parent;
      if (numbers.processes[i] == left_out || parent < 0 || numbers.processes[static_cast<std::size_t>(parent)] != left_out)
        continue;
      leave_out(numbers.processes, static_cast<int>(i));
      again = true;
    }
  }
  const auto gone = [](const std::vector<int>& of, int index) { return of[static_cast<std::size_t>(index)] == left_out; };
  for (std::size_t i = 0; i < program.files.size(); ++i)
    if (gone(numbers.processes, program.files[i].owner)) leave_out(numbers.files, static_cast<int>(i));
  for (std::size_t i = 0; i < program.regions.size(); ++i) {
    const Region& region = program.regions[i];
    if (gone(numbers.processes, region.owner) || (region.file >= 0 && gone(numbers.files, region.file)))
      leave_out(numbers.regions, static_cast<int>(i));
  }
  for (std::size_t i = 0; i < program.threads.size(); ++i) {
    const Thread& thread = program.threads[i];
    const bool drives_nothing =
        !thread.via.cpu() && (gone(numbers.devices, thread.via.device) || gone(numbers.processes, thread.via.opener));
    if (gone(numbers.processes, thread.process) || drives_nothing) leave_out(numbers.threads, static_cast<int>(i));
  }

  result.devices = reordered(program.devices, numbers.devices);
  result.files = reordered(program.files, numbers.files);
  result.regions = reordered(program.regions, numbers.regions);
  result.processes = reordered(program.processes, numbers.processes);
  result.threads = reordered(program.threads, numbers.threads);
  result.barriers = reordered(program.barriers, numbers.barriers);
  const Renumbering change(numbers);
  for (File& file : result.files) change.process(file.owner);
  for (Region& region : result.regions) change.process(region.owner), change.file(region.file);
  for (Process& process : result.processes)
    if (process.parent >= 0) change.process(process.parent);
  for (Thread& thread : result.threads) {
    change.process(thread.process);
    change.via(thread.via);
    std::erase_if(thread.statements, [&](Statement& statement) {
      return !std::visit([&](auto& o) { return change.operation(o); }, statement.operation);
    });
  }
  std::erase_if(result.observes, [&](Observe& observe) {
    const bool first = change.process(observe.process) && change.region(observe.cell.region);
    const bool second =
        observe.kind != Observe::Kind::same || (change.process(observe.process2) && change.region(observe.cell2.region));
    return !first || !second;
  });
  return result;
}

std::optional<Program> normal(const Program& program) {
  try {
    return parse(print(program), program.name);
  } catch (const ParseError&) {
    return std::nullopt;
  }
}

}  // namespace faultline
