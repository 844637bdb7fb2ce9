#include "stress/generate/canonical.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <type_traits>
#include <vector>

#include "harness/language/printer.h"
#include "harness/queries.h"
#include "stress/generate/renumber.h"

namespace faultline {
namespace {

constexpr std::size_t most_permuted = 5;

// Numbers things in the order in which they are first met.
class Met {
 public:
  Met(std::vector<int>& numbers) : numbers_(numbers) { std::ranges::fill(numbers_, left_out); }
  void meet(int index) {
    if (int& number = numbers_[static_cast<std::size_t>(index)]; number == left_out) number = next_++;
  }
  void meet_all() {
    for (std::size_t i = 0; i < numbers_.size(); ++i) meet(static_cast<int>(i));
  }

 private:
  std::vector<int>& numbers_;
  int next_ = 0;
};

// The numbers that the order of threads gives to everything else.
Numbers numbers_by(const Program& program, const std::vector<int>& order) {
  Numbers numbers = same_numbers(program);
  for (std::size_t i = 0; i < order.size(); ++i) numbers.threads[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
  Met devices(numbers.devices), files(numbers.files), regions(numbers.regions), processes(numbers.processes),
      barriers(numbers.barriers);
  const auto meet_via = [&](const Via& via) {
    if (via.cpu()) return;
    devices.meet(via.device);
    processes.meet(via.opener);
  };
  for (const int index : order) {
    const Thread& thread = program.threads[static_cast<std::size_t>(index)];
    processes.meet(thread.process);
    meet_via(thread.via);
    for (const Statement& statement : thread.statements)
      std::visit(
          [&](const auto& o) {
            for (const PageRange& pages : pages_of(o)) regions.meet(pages.region);
            if constexpr (requires { o.via; }) meet_via(o.via);
            if constexpr (requires { o.device; }) devices.meet(o.device);
            if constexpr (requires { o.process; }) processes.meet(o.process);
            if constexpr (requires { o.barrier; }) barriers.meet(o.barrier);
            if constexpr (requires { o.file; })
              if (o.file >= 0) files.meet(o.file);
          },
          statement.operation);
  }
  for (Met* each : {&devices, &files, &regions, &processes, &barriers}) each->meet_all();
  return numbers;
}

std::string name_of(char first, std::size_t index) { return first + std::to_string(index); }

// Names that follow from the numbers. A thread that is a process's main one keeps that property.
void rename(Program& program) {
  std::vector<bool> main;
  for (const Thread& thread : program.threads)
    main.push_back(thread.name == program.processes[static_cast<std::size_t>(thread.process)].name);
  for (std::size_t i = 0; i < program.devices.size(); ++i) program.devices[i].name = name_of('d', i);
  for (std::size_t i = 0; i < program.files.size(); ++i) program.files[i].name = name_of('f', i);
  for (std::size_t i = 0; i < program.regions.size(); ++i) program.regions[i].name = name_of('a', i);
  for (std::size_t i = 0; i < program.processes.size(); ++i) program.processes[i].name = name_of('P', i);
  for (std::size_t i = 0; i < program.barriers.size(); ++i) program.barriers[i] = name_of('b', i);
  for (std::size_t i = 0; i < program.threads.size(); ++i) {
    Thread& thread = program.threads[i];
    thread.name = program.processes[static_cast<std::size_t>(thread.process)].name;
    if (!main[i]) thread.name += name_of('.', i);
    for (Statement& statement : thread.statements) statement.name.clear();
  }
}

// The values of stores mean nothing by themselves; those of atomic updates may be added up.
void renumber_values(Program& program) {
  if (any_operation(program, [](const Operation& o) { return std::holds_alternative<op::Update>(o); })) return;
  std::map<int, int> values;
  const auto change = [&](int& value) { value = values.try_emplace(value, static_cast<int>(values.size())).first->second; };
  for (Region& region : program.regions)
    if (region.initial) change(*region.initial);
  for (Thread& thread : program.threads)
    for (Statement& statement : thread.statements)
      std::visit(
          [&](auto& o) {
            if constexpr (requires { o.value; }) change(o.value);
          },
          statement.operation);
}

std::string text_by(const Program& program, const std::vector<int>& order) {
  Program result = renumbered(program, numbers_by(program, order));
  // The order in which observes stand means nothing either.
  rename(result);
  renumber_values(result);
  std::ranges::sort(result.observes, {}, [&](const Observe& observe) { return print(result, observe); });
  return print(result);
}

}  // namespace

std::string canonical(const Program& given) {
  Program program = given;
  program.name = std::string("x");
  program.doc.clear();
  std::vector<int> order(program.threads.size());
  std::iota(order.begin(), order.end(), 0);
  std::string least = text_by(program, order);
  if (order.size() > most_permuted) return least;
  while (std::ranges::next_permutation(order).found) least = std::min(least, text_by(program, order));
  return least;
}

}  // namespace faultline
