#include "kernels_ref/memory_model/events.h"

#include <algorithm>
#include <map>

#include "harness/language/printer.h"
#include "harness/outcome.h"

namespace faultline::ref {

namespace {

using Kind = MemoryEvent::Kind;

class Maker {
 public:
  Maker(const Program& program, const Spans& spans, std::vector<MemoryEvent>& all)
      : program_(program), spans_(spans), all_(all) {}

  void run() {
    for (int s = 0; s < spans_.count(); ++s)
      all_.push_back(
          {.cell = s, .coarse = coarse(s), .home = s, .value = program_.regions[spans_.first(s).region].initial.value_or(0)});
    for (thread_ = 0; thread_ < static_cast<int>(program_.threads.size()); ++thread_)
      for (statement_ = 0; statement_ < static_cast<int>(program_.threads[thread_].statements.size()); ++statement_)
        std::visit([this](const auto& operation) { add(operation); }, program_.threads[thread_].statements[statement_].operation);
    for (int i = 0; i < static_cast<int>(program_.observes.size()); ++i)
      if (program_.observes[i].kind == Observe::Kind::value)
        all_.push_back({.kind = Kind::read, .observe = i, .cell = spans_.of(program_.observes[i].cell)});
  }

 private:
  bool coarse(int span) const { return is_handed_over(program_.regions[spans_.first(span).region].backing); }

  void add(MemoryEvent event) {
    event.thread = thread_;
    event.statement = statement_;
    event.coarse = event.cell >= 0 && coarse(event.cell);
    all_.push_back(event);
  }
  void add(const op::Load& o) {
    add(MemoryEvent{.kind = Kind::read, .cell = spans_.of(o.cell), .order = o.order, .device = !o.via.cpu()});
  }
  void add(const op::Store& o) {
    const int cell = spans_.of(o.cell);
    add(MemoryEvent{.cell = cell, .order = o.order, .device = !o.via.cpu(), .home = cell, .value = o.value});
  }
  void add(const op::Update& o) {
    const int cell = spans_.of(o.cell);
    const bool acquires = o.order == Order::acquire || o.order == Order::acq_rel;
    const bool releases = o.order == Order::release || o.order == Order::acq_rel;
    const Order rest = o.order == Order::seq_cst ? Order::seq_cst : Order::relaxed;
    add(MemoryEvent{.kind = Kind::read, .cell = cell, .order = acquires ? Order::acquire : rest, .device = !o.via.cpu()});
    add(MemoryEvent{.cell = cell,
                    .order = releases ? Order::release : rest,
                    .device = !o.via.cpu(),
                    .home = cell,
                    .value = o.value,
                    .read = static_cast<int>(all_.size()) - 1,
                    .update = o});
  }
  void add(const op::SvmFill& o) {
    const int cell = spans_.of(o.cell);
    add(MemoryEvent{.cell = cell, .device = true, .home = cell, .value = o.value});
  }
  void add(const op::SvmCopy& o) {
    add(MemoryEvent{.kind = Kind::read, .cell = spans_.of(o.from), .device = true});
    add(MemoryEvent{.cell = spans_.of(o.to), .device = true, .from = static_cast<int>(all_.size()) - 1});
  }
  void add(const op::SvmMap& o) {
    add(MemoryEvent{.kind = Kind::map, .cell = spans_.of(o.range), .last = spans_.last_of(o.range), .access = o.access});
  }
  void add(const op::SvmUnmap& o) {
    add(MemoryEvent{.kind = Kind::unmap, .cell = spans_.of(o.range), .last = spans_.last_of(o.range)});
  }
  void add(const op::Migrate& o) {
    add(MemoryEvent{.kind = Kind::migrate, .cell = spans_.of(o.range), .last = spans_.last_of(o.range), .device = true});
  }
  void add(const op::Barrier&) {
    add(MemoryEvent{.kind = Kind::arrive});
    add(MemoryEvent{.kind = Kind::depart});
  }
  template <typename Other>
  void add(const Other&) {}  // a delay

  const Program& program_;
  const Spans& spans_;
  std::vector<MemoryEvent>& all_;
  int thread_ = 0, statement_ = 0;
};

// The n-th arrival of a thread at a barrier waits for the n-th arrival of every other thread, or for its last one.
void meet(const Program& program, const std::vector<MemoryEvent>& all, Relation& before) {
  std::map<std::pair<int, int>, std::vector<int>> arrivals;  // by barrier and thread
  const auto barrier_of = [&](const MemoryEvent& e) {
    return std::get<op::Barrier>(program.threads[e.thread].statements[e.statement].operation).barrier;
  };
  for (int i = 0; i < static_cast<int>(all.size()); ++i)
    if (all[i].kind == Kind::arrive) arrivals[{barrier_of(all[i]), all[i].thread}].push_back(i);
  for (const auto& [mine, own] : arrivals)
    for (const auto& [theirs, others] : arrivals) {
      if (mine.first != theirs.first) continue;
      for (std::size_t n = 0; n < own.size(); ++n) before[others[std::min(n, others.size() - 1)]].set(own[n] + 1);
    }
}

}  // namespace

void close(Relation& order) {
  for (std::size_t middle = 0; middle < order.size(); ++middle)
    for (EventSet& row : order)
      if (row[middle]) row |= order[middle];
}

Events::Events(const Program& p) : program(p), spans(p) {
  Maker(program, spans, all).run();
  const int count = static_cast<int>(all.size());
  sequenced.resize(count);
  for (int a = 0; a < count; ++a)
    for (int b = a + 1; b < count; ++b)
      if (all[a].thread >= 0 && all[a].thread == all[b].thread) sequenced[a].set(b);
  before = sequenced;
  const auto initial = [](const MemoryEvent& e) { return e.thread < 0 && e.observe < 0; };
  for (int a = 0; a < count; ++a)
    for (int b = 0; b < count; ++b)
      if (initial(all[a]) ? !initial(all[b]) : all[b].observe >= 0 && all[a].observe < 0) before[a].set(b);
  meet(program, all, before);
  close(before);
}

std::vector<AtOnce> at_once(const Events& events) {
  std::vector<AtOnce> found;
  const auto reaches = [](const MemoryEvent& e) {
    return e.kind == Kind::read || e.kind == Kind::write || e.kind == Kind::migrate;
  };
  const auto region = [&](const MemoryEvent& e) { return events.spans.first(e.cell).region; };
  const int count = static_cast<int>(events.all.size());
  for (int a = 0; a < count; ++a)
    for (int b = 0; b < count; ++b) {
      const MemoryEvent &host = events.all[a], &device = events.all[b];
      if (!reaches(host) || !reaches(device) || host.device || !device.device || region(host) != region(device)) continue;
      if (!is_usm(events.program.regions[region(host)].backing) || events.before[a][b] || events.before[b][a]) continue;
      const AtOnce pair{region(host), host.order != Order::plain && device.order != Order::plain,
                        "'" + events.name(a) + "' and '" + events.name(b) + "'"};
      const auto same = [&](const AtOnce& other) { return other.region == pair.region && other.ordered == pair.ordered; };
      if (std::ranges::none_of(found, same)) found.push_back(pair);
    }
  return found;
}

std::string Events::name(int event) const {
  const MemoryEvent& e = all[event];
  if (e.thread < 0) return e.observe < 0 ? "the initial value" : "the observe of " + cell_text(program, spans.first(e.cell));
  const Thread& thread = program.threads[e.thread];
  return thread.name + ": " + print(program, thread, thread.statements[e.statement]);
}

}  // namespace faultline::ref
