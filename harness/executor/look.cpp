#include "harness/executor/look.h"

#include <errno.h>

namespace faultline {
namespace {

// Asks the first descriptor that this process holds: its own, or one that it inherited. False: it holds none.
template <typename Ask>
bool ask_a_device(ProcessContext& context, Ask ask) {
  const auto through = [&](int opener, int device) {
    const Handles::Use handle(context.handles, opener, device);
    if (handle) ask(handle);
    return static_cast<bool>(handle);
  };
  const int devices = static_cast<int>(context.program.devices.size());
  for (int device = 0; device < devices; ++device)
    if (through(context.process, device)) return true;
  for (int opener = 0; opener < static_cast<int>(context.program.processes.size()); ++opener)
    for (int device = 0; device < devices; ++device)
      if (opener != context.process && through(opener, device)) return true;
  return false;
}

void look_where(ProcessContext& context, const Observe& observe, Look& look) {
  int error = ENOTSUP;
  ask_a_device(context, [&](const Handles::Use& handle) {
    error = handle->location(context.layout.address_of(observe.cell), look.location);
  });
  if (error == 0) look.done.store(1, std::memory_order_release);
  else if (error != ENOTSUP) report_bench_error(context.area, "cannot tell where a page is", context.process, -1, error);
}

}  // namespace

Command answered_by(Observe::Kind kind) {
  switch (kind) {
    case Observe::Kind::value: return Command::observe;
    case Observe::Kind::same: return Command::none;
    case Observe::Kind::where: return Command::look;
  }
  return Command::none;
}

void answer_looks(ProcessContext& context) {
  for (std::size_t i = 0; i < context.program.observes.size(); ++i) {
    const Observe& observe = context.program.observes[i];
    if (observe.process != context.process) continue;
    if (observe.kind == Observe::Kind::where) look_where(context, observe, context.area.looks[i]);
  }
}

}  // namespace faultline
