#include "harness/executor/ordered.h"

#include <errno.h>

#include <array>
#include <stdexcept>

#include "harness/executor/value.h"
#include "harness/queries.h"

namespace faultline {
namespace {

// Turns a statement into an OrderedAccess, with its values encoded as words (value.h).
struct InWords {
  const ThreadRun& run;

  std::uintptr_t address(Cell cell) const { return run.context.layout.address_of(cell); }
  std::uint64_t word(Cell cell, int value) const { return encode_word(run.iteration, run.context.layout.spans.of(cell), value); }

  OrderedAccess operator()(const op::Load& load) const {
    return {.address = address(load.cell), .kind = OrderedAccess::Kind::load, .order = load.order};
  }
  OrderedAccess operator()(const op::Store& store) const {
    return {.address = address(store.cell),
            .kind = OrderedAccess::Kind::store,
            .order = store.order,
            .value = word(store.cell, store.value)};
  }
  OrderedAccess operator()(const op::Update& update) const {
    OrderedAccess access{.address = address(update.cell), .order = update.order};
    switch (update.kind) {
      case op::Update::Kind::exchange:
        access.kind = OrderedAccess::Kind::exchange;
        access.value = word(update.cell, update.value);
        break;
      case op::Update::Kind::add:
        access.kind = OrderedAccess::Kind::add;
        access.value = added_to_word(update.value);
        break;
      case op::Update::Kind::compare_exchange:
        access.kind = OrderedAccess::Kind::compare_exchange;
        access.value = word(update.cell, update.value);
        access.expected = word(update.cell, update.expected);
    }
    return access;
  }
  template <typename Other>
  OrderedAccess operator()(const Other&) const {
    throw std::logic_error("no access");
  }
};

}  // namespace

int run_ordered(const ThreadRun& run, std::span<const Statement> statements) {
  std::array<OrderedAccess, limits::operations> accesses;
  std::size_t count = 0;
  const Via via = *via_of_access(statements.front().operation);
  for (const Statement& statement : statements) {
    if (order_of(statement.operation) == Order::plain || via_of_access(statement.operation) != via) break;
    accesses[count++] = std::visit(InWords{run}, statement.operation);
  }
  int error = 0;
  if (via.cpu()) {
    for (OrderedAccess& access : std::span(accesses).first(count)) do_on_cpu(access);
  } else {
    const Handles::Use device(run.context.handles, via.opener, via.device);
    error = device ? device->ordered(std::span(accesses).first(count)) : EBADF;
  }
  for (std::size_t i = 0; i < count; ++i) {
    SeenResult result = device_errno(run, error);
    if (error == 0 && accesses[i].kind != OrderedAccess::Kind::store) {
      result.kind = SeenResult::Kind::word;
      result.word = accesses[i].value;
    }
    record(run.context.area.slots[run.slot + static_cast<int>(i)], result);
  }
  return static_cast<int>(count);
}

}  // namespace faultline
