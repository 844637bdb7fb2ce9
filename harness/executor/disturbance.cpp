#include "harness/executor/disturbance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "harness/queries.h"

namespace faultline {
namespace {

using Kind = Disturbance::Kind;

constexpr std::int64_t us = 1'000, ms = 1'000'000, s = 1'000'000'000;
constexpr std::int64_t longest_nap_ns = 2 * s;
constexpr std::int64_t longest_preemption_ns = 100 * ms;
constexpr std::int64_t shortest_period_ns = 10 * us;
constexpr std::int64_t shortest_gap_ns = us;

// Statements before which a thread may wait. It must not wait between accesses with an order: they follow each other at once.
bool may_wait_before(const Thread& thread, int statement) {
  return statement == 0 || order_of(thread.statements[statement].operation) == Order::plain ||
         order_of(thread.statements[statement - 1].operation) == Order::plain;
}

// What `disturbance` costs an iteration that it delays by all its length.
std::int64_t cost_ns(const Disturbance& disturbance, const Circumstances& here) {
  const std::int64_t fault_ns = here.longest_offset_ns / 20;  // a signal takes about as long as a page fault
  const std::int64_t switch_ns = 5 * fault_ns;                // to a task that a timer wakes, and back
  const std::int64_t statements_ns = here.statements_ns > 0 ? here.statements_ns : 20 * here.longest_offset_ns;
  switch (disturbance.kind) {
    case Kind::stall:
    case Kind::nap: return disturbance.ns;
    case Kind::preempt: return (disturbance.ns + switch_ns) * (1 + statements_ns / disturbance.gap_ns);
    case Kind::signals: return fault_ns * (2 + statements_ns / disturbance.ns);
    case Kind::reclaim:
    case Kind::move: return 30 * fault_ns * (1 + statements_ns / disturbance.ns);
  }
  return 0;
}

std::string duration_text(std::int64_t ns) {
  char text[32];
  if (ns < us) std::snprintf(text, sizeof text, "%lld ns", static_cast<long long>(ns));
  else if (ns < ms) std::snprintf(text, sizeof text, "%.3g us", static_cast<double>(ns) / us);
  else std::snprintf(text, sizeof text, "%.3g ms", static_cast<double>(ns) / ms);
  return text;
}

std::optional<Disturbance> draw_wait(Kind kind, const Program& program, const Circumstances& here, std::mt19937_64& random) {
  const int thread = below(random, static_cast<int>(program.threads.size()));
  const int statements = static_cast<int>(program.threads[thread].statements.size());
  if (statements == 0) return std::nullopt;
  const int statement = below(random, statements);
  if (!may_wait_before(program.threads[thread], statement)) return std::nullopt;
  const bool starve = kind == Kind::nap && below(random, 10) == 0;
  const std::int64_t usual = std::min(200 * here.longest_offset_ns, 20 * ms);
  const std::int64_t length =
      kind == Kind::stall ? log_uniform(random, 10, usual) : log_uniform(random, 10 * us, starve ? longest_nap_ns : usual);
  return Disturbance{kind, thread, statement, 0, length};
}

std::optional<Disturbance> draw_signals(const Program& program, const Circumstances& here, std::mt19937_64& random) {
  const int thread = below(random, static_cast<int>(program.threads.size()));
  if (!here.signals || !bears_signals(program.threads[thread])) return std::nullopt;
  const std::int64_t shortest = std::max(here.longest_offset_ns / 2, shortest_period_ns);
  return Disturbance{Kind::signals, thread, 0, 0, log_uniform(random, shortest, 10 * shortest)};
}

std::optional<Disturbance> draw_page_change(Kind kind, const Program& program, const Circumstances& here,
                                            std::mt19937_64& random) {
  const int process = below(random, static_cast<int>(program.processes.size()));
  if (!(kind == Kind::reclaim ? here.pages.swap : here.pages.nodes) || !bears_page_changes(program)) return std::nullopt;
  const std::int64_t shortest = std::max(here.longest_offset_ns, shortest_period_ns);
  const std::int64_t first = log_uniform(random, shortest_gap_ns, 10 * shortest);
  return Disturbance{kind, process, 0, first, log_uniform(random, shortest, 10 * shortest)};
}

std::optional<Disturbance> draw(Kind kind, const Program& program, const Circumstances& here, int cpu, std::mt19937_64& random) {
  switch (kind) {
    case Kind::stall:
    case Kind::nap: return draw_wait(kind, program, here, random);
    case Kind::preempt: {
      // A shorter gap may end before the thread that gets the CPU back has done anything: then it starves.
      const std::int64_t shortest = here.longest_offset_ns;
      const std::int64_t gap_ns = log_uniform(random, shortest, 10 * shortest);
      return Disturbance{kind, cpu, 0, gap_ns, log_uniform(random, shortest / 10, 10 * shortest)};
    }
    case Kind::signals: return draw_signals(program, here, random);
    case Kind::reclaim:
    case Kind::move: return draw_page_change(kind, program, here, random);
  }
  return std::nullopt;
}

}  // namespace

int below(std::mt19937_64& random, int bound) { return static_cast<int>(random() % static_cast<std::uint64_t>(bound)); }
double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

std::int64_t log_uniform(std::mt19937_64& random, std::int64_t shortest, std::int64_t longest) {
  const double range = std::log(static_cast<double>(std::max(longest, shortest)) / static_cast<double>(shortest));
  return static_cast<std::int64_t>(static_cast<double>(shortest) * std::exp(unit(random) * range));
}

const char* word(Kind kind) {
  switch (kind) {
    case Kind::stall: return "stall";
    case Kind::nap: return "nap";
    case Kind::preempt: return "preempt";
    case Kind::signals: return "signals";
    case Kind::reclaim: return "reclaim";
    case Kind::move: return "move";
  }
  return "?";
}

// Left out are: open (mm_take_all_locks() gives EINTR), pins (io_uring waits interruptibly when it takes buffers back), files
// (a file system may be interrupted, or do a part), and the commands of OpenCL, whose drivers are programs.
bool bears_signals(const Thread& thread) {
  return std::ranges::none_of(thread.statements, [](const Statement& statement) {
    const auto* migrate = std::get_if<op::Migrate>(&statement.operation);
    if (migrate && migrate->fail > 0) return true;  // the stack of the handler may need the page that is not there
    return order_of(statement.operation) != Order::plain || is_svm_command(statement.operation) ||
           std::visit(
               []<typename Op>(const Op&) {
                 return is_one_of<Op, op::Open, op::Close, op::Pin, op::Unpin, op::DirectRead, op::DirectWrite, op::Msync,
                                  op::Truncate>;
               },
               statement.operation);
  });
}

bool changes_pages(Kind kind) { return kind == Kind::reclaim || kind == Kind::move; }

bool bears_page_changes(const Program& program) {
  return std::ranges::all_of(program.observes, [](const Observe& each) { return each.kind == Observe::Kind::value; }) &&
         !is_about_memory_model(program) && !may_have_huge_pages(program) && !any_operation(program, [](const Operation& o) {
           if (const auto* advise = std::get_if<op::Madvise>(&o))
             return advise->advice == op::Advice::free || advise->advice == op::Advice::pageout;
           return is_uffd(o) ||
                  std::visit([]<typename Op>(const Op&) { return is_one_of<Op, op::Migrate, op::Snapshot, op::Exclusive>; }, o);
         });
}

std::vector<Disturbance> draw_disturbances(Kind kind, const Program& program, const Circumstances& here, int cpu,
                                           std::mt19937_64& random) {
  const std::int64_t usual_ns = here.iteration_ns > 0 ? here.iteration_ns : 20 * here.longest_offset_ns;
  const auto allowance = static_cast<double>(usual_ns) / 25;
  const int wanted = kind == Kind::stall || kind == Kind::nap ? 1 + below(random, 2) : 1;
  std::vector<Disturbance> drawn;
  double cost = 0;
  for (int i = 0; i < wanted; ++i)
    if (const auto disturbance = draw(kind, program, here, cpu, random)) {
      drawn.push_back(*disturbance);
      cost += static_cast<double>(cost_ns(*disturbance, here));
    }
  // Kept with a probability that makes the cost the allowance, on average.
  if (unit(random) * cost > allowance) drawn.clear();
  return drawn;
}

std::string misfit(std::span<const Disturbance> disturbances, const Program& program, int cpus) {
  if (disturbances.size() > most_disturbances)
    return std::to_string(disturbances.size()) + " disturbances of an iteration; at most " + std::to_string(most_disturbances);
  for (const Disturbance& it : disturbances) {
    const std::string what = std::string(word(it.kind)) + " of " + std::to_string(it.whom);
    const int bound = it.kind == Kind::preempt ? cpus
                      : changes_pages(it.kind) ? static_cast<int>(program.processes.size())
                                               : static_cast<int>(program.threads.size());
    if (it.whom < 0 || it.whom >= bound) return what + " where there are " + std::to_string(bound);
    const bool waits = it.kind == Kind::stall || it.kind == Kind::nap;
    const int statements = waits ? static_cast<int>(program.threads[it.whom].statements.size()) : 1;
    if (it.where < 0 || it.where >= statements || (waits && !may_wait_before(program.threads[it.whom], it.where)))
      return what + " before statement " + std::to_string(it.where);
    const bool gap = it.kind == Kind::preempt || changes_pages(it.kind);
    if (it.gap_ns < (gap ? shortest_gap_ns : 0) || it.gap_ns > (gap ? s : 0))
      return what + " every " + std::to_string(it.gap_ns) + " ns";
    const std::int64_t shortest = it.kind == Kind::signals || changes_pages(it.kind) ? shortest_period_ns : 0;
    const std::int64_t longest = it.kind == Kind::preempt ? longest_preemption_ns : longest_nap_ns;
    if (it.ns < shortest || it.ns > longest) return what + " for " + std::to_string(it.ns) + " ns";
    if (it.kind == Kind::signals && !bears_signals(program.threads[it.whom]))
      return what + ", which has an operation that a signal may end";
    if (changes_pages(it.kind) && !bears_page_changes(program)) return what + ", which the outcome would show";
  }
  return {};
}

std::int64_t delay_ns(std::span<const Disturbance> disturbances) {
  std::int64_t sum = 0;
  for (const Disturbance& disturbance : disturbances)
    if (disturbance.kind == Kind::preempt) sum += longest_taken_ns;
    else if (disturbance.kind == Kind::stall || disturbance.kind == Kind::nap) sum += disturbance.ns;
  return sum;
}

std::string text(const Disturbance& it, const Program& program) {
  const std::string length = duration_text(it.ns);
  if (it.kind == Kind::preempt)
    return "CPU " + std::to_string(it.whom) + " is taken for " + length + ", and left for " + duration_text(it.gap_ns) +
           ", by turns";
  if (changes_pages(it.kind))
    return program.processes[it.whom].name + (it.kind == Kind::reclaim ? " is paged out" : "'s pages are moved") + " every " +
           length + ", from " + duration_text(it.gap_ns) + " on";
  const std::string& name = program.threads[it.whom].name;
  if (it.kind == Kind::signals) return name + " gets a signal every " + length;
  return name + (it.kind == Kind::stall ? " stalls" : " sleeps") + " for " + length + " before #" + std::to_string(it.where + 1);
}

}  // namespace faultline
