#include "harness/executor/turns.h"

#include <algorithm>

#include "harness/executor/parameters.h"

namespace faultline {
namespace {

std::size_t results_of_turn(const Program& program, const Layout& layout) {
  return static_cast<std::size_t>(layout.slots) + program.observes.size();
}

// The results go on in the order of kept(). False if a statement has none, because its thread was never born.
bool keep(const ProcessContext& context, std::uint32_t turn) {
  Area& area = context.area;
  const auto slots = static_cast<std::size_t>(context.layout.slots);
  SeenResult* to = &area.turns.results[turn * results_of_turn(context.program, context.layout)];
  for (std::size_t i = 0; i < slots; ++i, ++to) {
    if (area.slots[i].done.load(std::memory_order_acquire) == 0) return false;
    *to = area.slots[i].result;
  }
  for (std::size_t i = 0; i < context.program.observes.size(); ++i, ++to) {
    if (area.readings[i].done.load(std::memory_order_acquire) == 0) return false;
    *to = area.readings[i].result;
  }
  area.turns.iterations[turn] = area.iteration.load(std::memory_order_relaxed);
  return true;
}

// Whether the runner must see this iteration before there is another.
bool is_remarkable(const Area& area) {
  return area.bench_error.load() != 0 || area.fatal_signal.state.load() != 0 || area.driver_failed.state.load() != 0 ||
         area.suspects.load() != 0 || area.abort.load() != 0;
}

}  // namespace

std::uint32_t most_turns(const Program& program, const Layout& layout) {
  if (!layout.unattended) return 1;
  const std::size_t results =
      std::tuple_size_v<decltype(Turns::results)> / std::max<std::size_t>(results_of_turn(program, layout), 1);
  const std::size_t rows = std::tuple_size_v<decltype(Turns::offsets)> / static_cast<std::size_t>(row_length(program));
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(std::min(results, rows), 1, Turns::most));
}

void forget_readings(const Program& program, Area& area) {
  for (std::size_t i = 0; i < program.observes.size(); ++i) {
    area.readings[i].done.store(0, std::memory_order_relaxed);
    area.looks[i].done.store(0, std::memory_order_relaxed);
  }
}

void reset_records(const Program& program, const Layout& layout, Area& area) {
  constexpr auto relaxed = std::memory_order_relaxed;  // the next round is begun with a stronger one
  const auto root = [&](int process) { return program.processes[process].parent < 0; };
  int live = 0;
  for (int thread = 0; thread < static_cast<int>(program.threads.size()); ++thread) {
    ThreadRecord& record = area.threads[thread];
    record.done.store(0, relaxed);
    record.begun.store(0, relaxed);
    for (std::size_t i = 0; i < program.barriers.size(); ++i) record.arrivals[i].store(0, relaxed);
    if (root(program.threads[thread].process)) ++live;
    else record.tid.store(0, relaxed), record.call.store(nullptr, relaxed);
  }
  for (int i = 0; i < layout.slots; ++i) area.slots[i].done.store(0, relaxed);
  for (int process = 0; process < static_cast<int>(program.processes.size()); ++process) {
    ProcessRecord& record = area.processes[process];
    record.suspect.store(0, relaxed);
    record.ended.store(0, relaxed);
    record.reaped.store(0, relaxed);
    if (root(process)) continue;
    record.call.store(nullptr, relaxed);
    record.step.store(0, relaxed);
    record.pid.store(0, relaxed);
    record.answered.store(record.command.get() - 1, relaxed);
    record.life.store(static_cast<std::uint32_t>(Life::unborn), relaxed);
  }
  area.live.store(live);
  area.suspects.store(0);
  area.ready.store(0);
  forget_readings(program, area);
}

bool next_turn(const ProcessContext& context) {
  Area& area = context.area;
  Turns& turns = area.turns;
  std::uint32_t turn = turns.now.load();
  if ((turn & Turns::stop) != 0 || turn + 1 >= turns.count.load() || is_remarkable(area) || !keep(context, turn)) return false;
  turns.since_ns.store(now_ns());  // before the runner may see the new turn
  if (!turns.now.compare_exchange_strong(turn, turn + 1)) return false;
  reset_records(context.program, context.layout, area);
  area.iteration.fetch_add(1);
  const auto length = static_cast<std::size_t>(row_length(context.program));
  for (std::size_t i = 0; i < length; ++i)
    area.offsets[i].store(turns.offsets[(turn + 1) * length + i], std::memory_order_relaxed);
  return true;
}

const SeenResult& kept(const Program& program, const Layout& layout, const Area& area, std::uint32_t turn, int index) {
  return area.turns.results[turn * results_of_turn(program, layout) + static_cast<std::size_t>(index)];
}

}  // namespace faultline
