// Questions about any operation, and about a Program as a whole.
#pragma once

#include <algorithm>
#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

#include "harness/program.h"

namespace faultline {

template <typename Op, typename... Ops>
inline constexpr bool is_one_of = (std::is_same_v<Op, Ops> || ...);

// The memory order of an access; plain for every other operation.
inline Order order_of(const Operation& operation) {
  return std::visit(
      [](const auto& o) {
        if constexpr (requires { o.order; }) return o.order;
        else return Order::plain;
      },
      operation);
}

// The device that an operation goes through, and the process that opened its descriptor. The CPU for an operation without one.
inline Via via_of(const Operation& operation) {
  return std::visit(
      [](const auto& o) -> Via {
        if constexpr (requires { o.via; }) return o.via;
        else return {};
      },
      operation);
}

// The device or CPU that does an access. Nothing for other operations.
inline std::optional<Via> via_of_access(const Operation& operation) {
  return std::visit(
      [](const auto& o) -> std::optional<Via> {
        if constexpr (requires { o.order; }) return o.via;
        else return std::nullopt;
      },
      operation);
}

// The pages that an operation names, one PageRange for each place. An operation names its places by members `cell`, `range`,
// `from` and `to`. An operation that names none is in the list here: so no place under another name is passed over in silence.
template <typename Op>
std::vector<PageRange> pages_of(const Op& o) {
  constexpr bool cell = requires { o.cell; }
  , range = requires { o.range; }
  , from = requires { o.from; }
  , to = requires { o.to; };
  constexpr bool none =
      is_one_of<Op, op::Truncate, op::Fork, op::Exit, op::Kill, op::Wait, op::Barrier, op::Delay, op::Open, op::Close>;
  static_assert((cell || range || from || to) != none);
  std::vector<PageRange> pages;
  if constexpr (cell) pages.push_back({o.cell.region, o.cell.page, 1});
  if constexpr (range) pages.push_back(o.range);
  if constexpr (from) pages.push_back({o.from.region, o.from.page, 1});
  if constexpr (to) pages.push_back({o.to.region, o.to.page, 1});
  return pages;
}

// The cell that the operation reads its result from. Null if its result is not the content of a cell.
inline const Cell* cell_of_result(const Operation& operation) {
  if (const auto* load = std::get_if<op::Load>(&operation)) return &load->cell;
  if (const auto* update = std::get_if<op::Update>(&operation)) return &update->cell;
  if (const auto* direct = std::get_if<op::DirectWrite>(&operation)) return &direct->cell;
  return nullptr;
}

// Whether the operation is one of userfaultfd.
inline bool is_uffd(const Operation& operation) {
  return std::visit(
      []<typename Op>(const Op&) {
        return is_one_of<Op, op::UffdRegister, op::UffdUnregister, op::UffdCopy, op::UffdZero, op::UffdProtect, op::UffdWake>;
      },
      operation);
}

// Whether the operation is an OpenCL command on buffers or other memory.
inline bool is_svm_command(const Operation& operation) {
  return std::holds_alternative<op::SvmMap>(operation) || std::holds_alternative<op::SvmUnmap>(operation) ||
         std::holds_alternative<op::SvmCopy>(operation) || std::holds_alternative<op::SvmFill>(operation);
}

// visit(thread, operation), for each operation of that kind.
template <typename Op, typename Visit>
void each(const Program& program, Visit visit) {
  for (int thread = 0; thread < static_cast<int>(program.threads.size()); ++thread)
    for (const Statement& statement : program.threads[thread].statements)
      if (const Op* operation = std::get_if<Op>(&statement.operation)) visit(thread, *operation);
}

template <typename Predicate>
bool any_operation(const Program& program, Predicate holds) {
  return std::ranges::any_of(program.threads, [&holds](const Thread& thread) {
    return std::ranges::any_of(thread.statements, [&holds](const Statement& s) { return holds(s.operation); });
  });
}

// For each process, the devices that the executor opens for it before its threads start. These are the devices that some
// operation uses through its descriptor, and device 0 if it owns a buffer. A device that the process opens in a statement
// is left out.
inline std::vector<std::vector<int>> opened_first(const Program& program) {
  std::vector<std::vector<int>> opens(program.processes.size());
  const auto use = [&opens](int process, int device) {
    if (std::ranges::find(opens[process], device) == opens[process].end()) opens[process].push_back(device);
  };
  for (const Thread& thread : program.threads)
    for (const Statement& statement : thread.statements)
      if (const Via via = via_of(statement.operation); !via.cpu()) use(via.opener, via.device);
  for (const Region& region : program.regions)
    if (is_buffer(region.backing)) use(region.owner, 0);
  each<op::Open>(program,
                 [&](int thread, const op::Open& open) { std::erase(opens[program.threads[thread].process], open.device); });
  return opens;
}

// Whether the Program is about the memory model of OpenCL: it has buffers, commands on buffers, or accesses with a memory
// order. check.cpp sees to it that such a Program changes no mappings.
inline bool is_about_memory_model(const Program& program) {
  for (const Region& region : program.regions)
    if (is_buffer(region.backing)) return true;
  return any_operation(program, [](const Operation& o) { return is_svm_command(o) || order_of(o) != Order::plain; });
}

// Whether some statement asks for huge pages. Then the kernel may make them wherever they fit. For other Programs the
// executor turns huge pages off.
inline bool may_have_huge_pages(const Program& program) {
  return any_operation(program, [](const Operation& o) {
    const auto* advise = std::get_if<op::Madvise>(&o);
    return advise && (advise->advice == op::Advice::hugepage || advise->advice == op::Advice::collapse);
  });
}

// Whether some region has more pages than limits::populated_pages. Then every mapping of the Program is MAP_NORESERVE,
// because the kernel would refuse a mapping that is larger than its memory.
inline bool maps_without_reserve(const Program& program) {
  for (const Region& region : program.regions)
    if (region.pages > limits::populated_pages) return true;
  return false;
}

}  // namespace faultline
