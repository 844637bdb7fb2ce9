#include "harness/executor/look.h"

#include <errno.h>

namespace faultline {
namespace {

// Asks through the first descriptor that `opener` opened and this process holds. False if it holds none.
template <typename Ask>
bool ask_through(ProcessContext& context, int opener, Ask ask) {
  for (int device = 0; device < static_cast<int>(context.program.devices.size()); ++device) {
    const Handles::Use handle(context.handles, opener, device);
    if (handle) ask(handle);
    if (handle) return true;
  }
  return false;
}

// Reports an error of the bench, except for ENOTSUP: then the target never claimed to know such things.
void fail(ProcessContext& context, const char* what, int error) {
  if (error != ENOTSUP) report_bench_error(context.area, what, context.process, -1, error);
}

void look_where(ProcessContext& context, const Observe& observe, Look& look) {
  int error = ENOTSUP;
  const auto ask = [&](const Handles::Use& handle) {
    error = handle->location(context.layout.address_of(observe.cell), look.location);
  };
  bool asked = ask_through(context, context.process, ask);
  for (int opener = 0; opener < static_cast<int>(context.program.processes.size()) && !asked; ++opener)
    asked = ask_through(context, opener, ask);  // inherited descriptors
  if (error == 0) look.done.store(1, std::memory_order_release);
  else fail(context, "cannot tell where a page is", error);
}

template <std::size_t size>
void copy(const std::string& text, std::array<char, size>& to) {
  to[text.copy(to.data(), size - 1)] = '\0';
}

// Asks through the process's own descriptor, because the driver reports events to the process that opened it.
void look_at_events(ProcessContext& context, const Observe& observe, Look& look) {
  PageHistory history;
  int error = ENOTSUP;
  ask_through(context, context.process,
              [&](const Handles::Use& handle) { error = handle->history(context.layout.address_of(observe.cell), history); });
  if (history.events.size() >= look.events.size() && history.gap.empty()) history.gap = "more events than there is room for";
  copy(history.events, look.events);
  copy(history.gap, look.gap);
  if (error == 0) look.done.store(1, std::memory_order_release);
  else fail(context, "cannot tell the events of a page", error);
}

}  // namespace

Command answered_by(Observe::Kind kind) {
  switch (kind) {
    case Observe::Kind::value: return Command::observe;
    case Observe::Kind::same: return Command::none;
    case Observe::Kind::where:
    case Observe::Kind::events: return Command::look;
  }
  return Command::none;
}

void answer_looks(ProcessContext& context) {
  const auto look = [&](Observe::Kind kind, auto at) {
    for (std::size_t i = 0; i < context.program.observes.size(); ++i) {
      const Observe& observe = context.program.observes[i];
      if (observe.process == context.process && observe.kind == kind) at(context, observe, context.area.looks[i]);
    }
  };
  look(Observe::Kind::events, look_at_events);  // first, because driver workers may still be moving the pages
  look(Observe::Kind::where, look_where);
}

}  // namespace faultline
