#include "kernels_ref/predict.h"

#include <chrono>
#include <set>

#include "harness/queries.h"
#include "kernels_ref/drivers/driver.h"
#include "kernels_ref/engine/explorer.h"
#include "kernels_ref/memory_model/prediction.h"
#include "kernels_ref/scenario/outcome_text.h"
#include "kernels_ref/scenario/program_subject.h"

namespace faultline {

namespace {

using namespace ref;

// amdgpu_vm_handle_fault: svm_range_restore_pages() gives -EFAULT or -EPERM, and the next try is a fault without retry.
constexpr const char* unresolved_text =
    "an access of the GPU may come where its driver cannot map the page or another one of its range (no VMA, or no "
    "permission): that is a VM fault, which ends the job and may take the engine with it";

std::string finding_text(int broken) {
  switch (static_cast<Broken>(broken)) {
    case Broken::tables_full: return "the model's tables are too small for this program";
    case Broken::use_after_free: return "an access reached a freed page";
    case Broken::stale_device_entry: return "a device entry differs from the CPU's outside an invalidation";
    case Broken::deadlock: return "a thread waits for ever";
    case Broken::count_: break;
  }
  return "?";
}

// The threads that wait in an end state. Empty if one of them waits inside the kernel and none for user space, which resolves
// userfaults: then the Program is not the cause.
std::vector<Waiting> waiting_in(const Program& program, const World& world) {
  std::vector<Waiting> waiting;
  bool in_kernel = false, for_user = false;
  for (int t = 0; t < static_cast<int>(program.threads.size()); ++t) {
    if (world.thread[t].life != ThreadState::Life::running) continue;
    const int at = world.thread[t].next;
    const auto& statements = program.threads[t].statements;
    if (at >= static_cast<int>(statements.size())) return {};
    const Operation& operation = statements[at].operation;
    const bool userfault = world.thread[t].userfault != none;
    for_user = for_user || userfault;
    if (userfault || std::holds_alternative<op::Wait>(operation) || std::holds_alternative<op::Barrier>(operation))
      waiting.push_back({t, at});
    else in_kernel = true;
  }
  if (in_kernel && !for_user) return {};
  return waiting;
}

bool has_work(const Program& program, DeviceClass device_class) {
  const Driver& driver = driver_of(device_class);
  return !driver.has_work || driver.has_work(program);
}

Facets effective(const Program& program, Facets facets) {
  if (!has_work(program, facets.device_class)) facets.device_class = DeviceClass::recoverable;
  return facets;
}

}  // namespace

std::string unpredicted(const Program& program, DeviceClass device_class) {
  const Driver& driver = driver_of(device_class);
  return driver.not_modelled && has_work(program, device_class) ? driver.not_modelled(program) : "";
}

Allowed predict(const Program& program, const Facets& facets, const Budget& budget,
                const std::function<bool(std::uint64_t)>& keep_going) {
  const auto began = std::chrono::steady_clock::now();
  const auto seconds = [began] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  if (is_about_memory_model(program)) {
    Allowed allowed = predict_by_memory_model(program, facets.dropped, keep_going);
    allowed.seconds = seconds();
    return allowed;
  }
  const Facets own = effective(program, facets);
  Allowed allowed;
  allowed.schema = schema_with_weather(program, own.device_class);
  allowed.unknown = unpredicted(program, own.device_class);
  if (!allowed.unknown.empty()) return allowed;
  const ProgramSubject subject(make_shape(program, own));
  const Driver& driver = driver_of(own.device_class);
  std::set<Outcome> outcomes;
  bool lost = false;  // a look at some end state may fault for ever
  bool deadlock = false;
  const auto at_end = [&](const void* world, bool waits) {
    if (waits) {
      const std::vector<Waiting> found = waiting_in(program, *static_cast<const World*>(world));
      // Always the least, so that the order of the exploration does not matter.
      if (facets.dropped.any() || found.empty()) deadlock = true;
      else if (allowed.waiting.empty() || found < allowed.waiting) allowed.waiting = found;
    }
    if (driver.loses_location && driver.loses_location(subject.shape(), *static_cast<const World*>(world))) lost = true;
    else
      for (Outcome& each : outcomes_of(subject.shape(), *static_cast<const World*>(world), allowed.schema))
        outcomes.insert(std::move(each));
  };
  const Exploration e = explore(subject, {.states = budget.states, .workers = budget.workers}, at_end, keep_going);
  std::uint32_t broken = subject.broken();
  if (deadlock) broken |= 1u << static_cast<int>(Broken::deadlock);
  allowed.outcomes.assign(outcomes.begin(), outcomes.end());
  allowed.complete = e.complete && !(broken >> static_cast<int>(Broken::tables_full) & 1);
  allowed.states = e.states;
  allowed.executions = e.ends;
  constexpr int unresolved = static_cast<int>(MetBug::unresolved_fault);
  if (subject.known_bugs() >> unresolved & 1) allowed.undefined = unresolved_text;
  for (int b = 0; b < unresolved; ++b)
    if (subject.known_bugs() >> b & 1 || (lost && b == static_cast<int>(MetBug::lost_location)))
      allowed.known_bugs.emplace_back(name_of(static_cast<MetBug>(b)));
  for (int b = 0; b < static_cast<int>(Broken::count_); ++b)
    if (broken >> b & 1) allowed.findings.push_back(finding_text(b));
  if (e.complete && e.ends == 0 && allowed.known_bugs.empty() && allowed.undefined.empty())
    allowed.findings.push_back("no execution comes to an end");
  allowed.seconds = seconds();
  return allowed;
}

Explained explain(const Program& program, const Facets& facets, const std::function<bool(const Outcome&)>& wanted,
                  std::uint64_t max_states) {
  const ProgramSubject subject(make_shape(program, effective(program, facets)));
  const std::vector<Observable> schema = faultline::schema(program);
  const auto wanted_of = [&](const void* world) -> std::optional<Outcome> {
    for (Outcome& each : outcomes_of(subject.shape(), *static_cast<const World*>(world), schema))
      if (wanted(each)) return std::move(each);
    return std::nullopt;
  };
  Found found = shortest(
      subject, [&](const Moment& m) { return m.end && wanted_of(m.world); }, max_states);
  Explained result{.complete = found.complete};
  if (!found.schedule) return result;
  // Once more along the schedule, to see which statement each step belongs to.
  Machine machine(subject);
  Explanation& explanation = result.found.emplace();
  for (const ScheduleStep& step : *found.schedule) {
    const ThreadState& thread = static_cast<const World*>(machine.world())->thread[step.thread];
    const bool in_statement =
        thread.life == ThreadState::Life::running && thread.next < program.threads[step.thread].statements.size();
    explanation.statement.push_back(in_statement ? thread.next : -1);
    machine.resume({static_cast<std::uint8_t>(step.thread), static_cast<std::uint8_t>(step.way)});
    subject.arrive(machine.world());
  }
  explanation.outcome = *wanted_of(machine.world());
  explanation.schedule = std::move(*found.schedule);
  return result;
}

}  // namespace faultline
