#include "harness/executor/ordered.h"

#include <errno.h>

#include <array>

#include "harness/executor/value.h"

namespace faultline {
namespace {

OrderedAccess ordered_access(const ThreadRun& run, const Operation& operation) {
  const Layout& layout = run.context.layout;
  if (const auto* load = std::get_if<op::Load>(&operation)) return {layout.address_of(load->cell), 0, load->order, false};
  const auto& store = std::get<op::Store>(operation);
  return {layout.address_of(store.cell), encode_word(run.iteration, layout.spans.of(store.cell), store.value), store.order, true};
}

Via via_of(const Operation& operation) {
  const auto* load = std::get_if<op::Load>(&operation);
  return load ? load->via : std::get<op::Store>(operation).via;
}

}  // namespace

int run_ordered(const ThreadRun& run, std::span<const Statement> statements) {
  std::array<OrderedAccess, limits::operations> accesses;
  std::size_t count = 0;
  const Via via = via_of(statements.front().operation);
  for (const Statement& statement : statements) {
    if (order_of(statement.operation) == Order::plain || via_of(statement.operation) != via) break;
    accesses[count++] = ordered_access(run, statement.operation);
  }
  int error = 0;
  if (via.cpu()) {
    for (OrderedAccess& access : std::span(accesses).first(count)) do_on_cpu(access);
  } else {
    const Handles::Use device(run.context.handles, via.opener, via.device);
    error = device ? device->ordered(std::span(accesses).first(count)) : EBADF;
  }
  for (std::size_t i = 0; i < count; ++i) {
    Result result = errno_result(error);
    if (error == 0 && !accesses[i].store) {
      result.kind = Result::Kind::word;
      result.word = accesses[i].value;
    }
    record(run.context.area.slots[run.slot + static_cast<int>(i)], result);
  }
  return static_cast<int>(count);
}

}  // namespace faultline
