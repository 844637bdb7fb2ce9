#include "harness/executor/layout.h"

#include <sys/mman.h>

#include <algorithm>

#include "harness/queries.h"

namespace faultline {

int Layout::map_flags(Backing backing) const {
  const bool shared = backing == Backing::anon_shared || backing == Backing::file_shared;
  const bool file = backing == Backing::file_private || backing == Backing::file_shared;
  return (file ? 0 : MAP_ANONYMOUS) | (shared ? MAP_SHARED : MAP_PRIVATE) | (reserves ? 0 : MAP_NORESERVE) |
         (backing == Backing::stack ? MAP_GROWSDOWN : 0);
}

Layout::Layout(const Program& program)
    : spans(program),
      reserves(!maps_without_reserve(program)),
      threads_of(program.processes.size()),
      forker(program.processes.size(), -1),
      meeting(program.barriers.size()),
      opens(opened_first(program)) {
  constexpr std::size_t apart = std::size_t{16} << 20;
  region_address.push_back(regions_base);
  for (const Region& region : program.regions)
    region_address.push_back(region_address.back() + ((region.pages * page_bytes + stack_limit) / apart + 1) * apart);
  int offset = 0;
  for (int thread = 0; thread < static_cast<int>(program.threads.size()); ++thread) {
    first_slot.push_back(slots);
    first_offset.push_back(offset);
    slots += static_cast<int>(program.threads[thread].statements.size());
    ++offset;
    for (const Statement& statement : program.threads[thread].statements)
      if (const auto* barrier = std::get_if<op::Barrier>(&statement.operation)) {
        ++offset;
        std::vector<Party>& parties = meeting[barrier->barrier];
        if (parties.empty() || parties.back().thread != thread) parties.push_back({thread, 0});
        ++parties.back().uses;
        has_barriers = true;
      }
    std::vector<int>& mates = threads_of[program.threads[thread].process];
    // The leader runs the process's main thread, if it has one.
    const bool main = program.threads[thread].name == program.processes[program.threads[thread].process].name;
    mates.insert(main ? mates.begin() : mates.end(), thread);
  }
  for (int process = 0; process < static_cast<int>(program.processes.size()); ++process) {
    const int parent = program.processes[process].parent;
    root_of.push_back(parent < 0 ? process : root_of[parent]);
  }
  has_children = std::ranges::any_of(program.processes, [](const Process& process) { return process.parent >= 0; });
  const bool ends = any_operation(
      program, [](const Operation& o) { return std::holds_alternative<op::Kill>(o) || std::holds_alternative<op::Exit>(o); });
  const auto is_value = [](const Observe& observe) { return observe.kind == Observe::Kind::value; };
  unasked = !ends && std::ranges::all_of(program.observes, is_value);
  has_values.resize(program.processes.size());
  for (const Observe& observe : program.observes) has_values[observe.process] = has_values[observe.process] || is_value(observe);
  int roots = 0;
  unattended = unasked;
  for (std::size_t process = 0; process < program.processes.size(); ++process) {
    const int parent = program.processes[process].parent;
    if (parent < 0) ++roots;
    else if (program.processes[parent].parent >= 0 || !opens[process].empty() || has_values[process]) unattended = false;
    if (threads_of[process].empty()) unattended = false;
  }
  unattended = unattended && roots == 1;
  has_stacks = std::ranges::any_of(program.regions, [](const Region& r) { return r.backing == Backing::stack; });
  each<op::Mmap>(program, [&](int, const op::Mmap& map) { has_stacks = has_stacks || map.backing == Backing::stack; });
  each<op::Fork>(program, [&](int thread, const op::Fork& fork) { forker[fork.process] = thread; });
}

}  // namespace faultline
