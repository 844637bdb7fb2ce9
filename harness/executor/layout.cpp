#include "harness/executor/layout.h"

#include <sys/mman.h>

#include <algorithm>

namespace faultline {
namespace {

template <typename Op, typename Visit>
void each(const Program& program, Visit visit) {
  for (int thread = 0; thread < static_cast<int>(program.threads.size()); ++thread)
    for (const Statement& statement : program.threads[thread].statements)
      if (const Op* operation = std::get_if<Op>(&statement.operation)) visit(thread, *operation);
}

// The descriptor that an operation goes through, if it is one of a device.
struct ViaOf {
  Via operator()(const op::Load& load) const { return load.via; }
  Via operator()(const op::Store& store) const { return store.via; }
  Via operator()(const op::Update& update) const { return update.via; }
  Via operator()(const op::Migrate& migrate) const { return migrate.via; }
  Via operator()(const op::Snapshot& snapshot) const { return snapshot.via; }
  Via operator()(const op::Pin& pin) const { return pin.via; }
  Via operator()(const op::Unpin& unpin) const { return unpin.via; }
  Via operator()(const op::Exclusive& exclusive) const { return exclusive.via; }
  Via operator()(const op::SvmMap& map) const { return map.via; }
  Via operator()(const op::SvmUnmap& unmap) const { return unmap.via; }
  Via operator()(const op::SvmCopy& copy) const { return copy.via; }
  Via operator()(const op::SvmFill& fill) const { return fill.via; }
  Via operator()(const op::DirectRead&) const { return {}; }
  Via operator()(const op::DirectWrite&) const { return {}; }
  Via operator()(const op::Mmap&) const { return {}; }
  Via operator()(const op::Munmap&) const { return {}; }
  Via operator()(const op::Mprotect&) const { return {}; }
  Via operator()(const op::Mremap&) const { return {}; }
  Via operator()(const op::Madvise&) const { return {}; }
  Via operator()(const op::Msync&) const { return {}; }
  Via operator()(const op::Truncate&) const { return {}; }
  Via operator()(const op::Fork&) const { return {}; }
  Via operator()(const op::Exit&) const { return {}; }
  Via operator()(const op::Kill&) const { return {}; }
  Via operator()(const op::Wait&) const { return {}; }
  Via operator()(const op::Barrier&) const { return {}; }
  Via operator()(const op::Delay&) const { return {}; }
  Via operator()(const op::Open&) const { return {}; }
  Via operator()(const op::Close&) const { return {}; }
};

void add_once(std::vector<int>& numbers, int number) {
  if (std::ranges::find(numbers, number) == numbers.end()) numbers.push_back(number);
}

}  // namespace

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
      opens(program.processes.size()) {
  constexpr std::size_t apart = std::size_t{16} << 20;
  region_address.push_back(regions_base);
  for (const Region& region : program.regions)
    region_address.push_back(region_address.back() + ((region.pages * page_bytes + stack_limit) / apart + 1) * apart);
  int slot = 0;
  int offset = 0;
  for (int thread = 0; thread < static_cast<int>(program.threads.size()); ++thread) {
    first_slot.push_back(slot);
    first_offset.push_back(offset);
    slot += static_cast<int>(program.threads[thread].statements.size());
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
    // The main thread, where the process has one, is the leader's.
    const bool main = program.threads[thread].name == program.processes[program.threads[thread].process].name;
    mates.insert(main ? mates.begin() : mates.end(), thread);
  }
  for (int process = 0; process < static_cast<int>(program.processes.size()); ++process) {
    const int parent = program.processes[process].parent;
    root_of.push_back(parent < 0 ? process : root_of[parent]);
  }
  has_stacks = std::ranges::any_of(program.regions, [](const Region& r) { return r.backing == Backing::stack; });
  each<op::Mmap>(program, [&](int, const op::Mmap& map) { has_stacks = has_stacks || map.backing == Backing::stack; });
  each<op::Fork>(program, [&](int thread, const op::Fork& fork) { forker[fork.process] = thread; });
  for (const Thread& thread : program.threads)
    for (const Statement& statement : thread.statements) {
      const Via via = std::visit(ViaOf{}, statement.operation);
      if (!via.cpu()) add_once(opens[via.opener], via.device);
    }
  for (const Region& region : program.regions)
    if (is_buffer(region.backing)) add_once(opens[region.owner], 0);
  // A process that opens a device by a statement has it closed until then.
  each<op::Open>(program, [&](int thread, const op::Open& open) {
    std::erase(opens[program.threads[thread].process], open.device);
  });
}

}  // namespace faultline
