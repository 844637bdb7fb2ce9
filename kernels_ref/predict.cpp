#include "kernels_ref/predict.h"

#include <chrono>
#include <set>

#include "kernels_ref/amdkfd/prediction.h"
#include "kernels_ref/explorer.h"
#include "kernels_ref/memory_model/prediction.h"
#include "kernels_ref/program_subject.h"
#include "kernels_ref/stack.h"

namespace faultline {

namespace {

using namespace ref;

std::string known_bug_name(int bug) {
  switch (static_cast<KnownBug>(bug)) {
    case KnownBug::read_private_oops: return "erased-private-read";
    case KnownBug::write_private_warn: return "read-only-private-write";
    case KnownBug::unstamped_migrate: return "unstamped-migration";
    case KnownBug::miscounted_private_page: return "miscounted-private-page";
    case KnownBug::freed_private_copy: return "freed-private-copy";
    case KnownBug::stale_migrated_entry: return "stale-migrated-entry";
    case KnownBug::stale_exclusive_entry: return "stale-exclusive-entry";
    case KnownBug::dead_mm_fault: return "dead-mm-spin";
    case KnownBug::lost_location: return "lost-location";
    case KnownBug::kept_entry: return "kept-entry";
    case KnownBug::writable_shared_vram: return "writable-shared-vram";
    case KnownBug::unresolved_fault:
    case KnownBug::count_: break;
  }
  return "?";
}

// amdgpu_vm_handle_fault: svm_range_restore_pages() gives -EFAULT or -EPERM, and the next try is a fault without retry.
constexpr const char* unresolved_text =
    "an access of the GPU may come where its driver cannot map the page or another one of its range (no VMA, or no "
    "permission): that is a VM fault, which ends the job and may take the engine with it";

std::string finding_text(int broken) {
  switch (static_cast<Broken>(broken)) {
    case Broken::tables_full: return "the model's tables are too small for this program";
    case Broken::use_after_free: return "an access reached a freed page";
    case Broken::stale_device_entry: return "a device entry differs from the CPU's outside an invalidation";
    case Broken::never_returns: return "a thread waits for ever";
    case Broken::count_: break;
  }
  return "?";
}

std::string contents_text(const Shape& shape, Cell cell, Contents contents) {
  if (contents.home == none) return text_zero;
  return value_text(*shape.program, cell, shape.spans.first(contents.home), contents.value);
}

class Texts {
 public:
  Texts(const Shape& shape, const World& world) : shape_(shape), w_(world), program_(*shape.program) {}

  std::string of(const Observable& o) const {
    switch (o.kind) {
      case Observable::Kind::result:
      case Observable::Kind::faults: return result(o);
      case Observable::Kind::value: return value(program_.observes[o.observe]);
      case Observable::Kind::identity: return identity(program_.observes[o.observe]);
      case Observable::Kind::location: return location(program_.observes[o.observe]);
      case Observable::Kind::events: return events(o.observe);
    }
    return "?";
  }

 private:
  std::string result(const Observable& o) const {
    const Result& r = w_.result[shape_.first_result[o.thread] + o.statement];
    if (r.kind == Result::Kind::none) return missing(o.thread, o.statement);
    if (o.kind == Observable::Kind::faults)
      return r.kind == Result::Kind::error ? text_not_reached : r.faulted ? text_fault : text_hit;
    switch (r.kind) {
      case Result::Kind::none: break;
      case Result::Kind::ok: return text_ok;
      case Result::Kind::exited: return text_exited;
      case Result::Kind::killed: return text_killed;
      case Result::Kind::error: return errno_text(r.number);
      case Result::Kind::signal: return signal_text(r.number);
      case Result::Kind::contents: return contents_text(shape_, loaded_cell(o), r.contents);
      case Result::Kind::letters: return letters(o, r);
    }
    return "?";
  }

  // The first operation that a dying thread did not tell of may have been done or not.
  std::string missing(int thread, int statement) const {
    if (w_.thread[thread].life == ThreadState::Life::waiting) return text_not_reached;
    const bool first = statement == 0 || w_.result[shape_.first_result[thread] + statement - 1].kind != Result::Kind::none;
    return first ? text_unknown : text_not_reached;
  }

  Cell loaded_cell(const Observable& o) const {
    return *cell_of_result(program_.threads[o.thread].statements[o.statement].operation);
  }

  std::string letters(const Observable& o, const Result& r) const {
    const auto& snapshot = std::get<op::Snapshot>(program_.threads[o.thread].statements[o.statement].operation);
    std::string text;
    for (int i = 0; i < snapshot.range.count; ++i) text += snapshot_alphabet[r.letters >> (4 * i) & 15];
    return text;
  }

  bool alive(int process) const { return w_.process[process].life == ProcessState::Life::alive; }

  std::string value(const Observe& o) const {
    if (!alive(o.process)) return text_not_reached;
    const Slot s = shape_.spans.of(o.cell);
    const VmaPage& vma = w_.mm[o.process].vma[s];
    const Pte& pte = w_.mm[o.process].pte[s];
    if (!vma.mapped()) {
      const Slot stack = stack_above(shape_, w_, o.process, s);
      const bool grows = stack >= 0 && fits_stack(shape_, w_, o.process, stack, s);
      return grows && w_.mm[o.process].vma[stack].accessible() ? text_zero : "SIGSEGV";
    }
    if (!vma.accessible()) return "SIGSEGV";
    // svm_migrate_to_ram finds no range.
    if (is_kfd(shape_.device_class) && pte.kind == Pte::Kind::device && !w_.svms[mm_of(w_.frame[pte.frame].owner)].page[s].in)
      return "SIGBUS";
    int frame = pte.frame;
    if (pte.kind == Pte::Kind::none && vma.object != none) {
      if (vma.pgoff >= w_.object[vma.object].size) return "SIGBUS";
      frame = w_.object[vma.object].frame[vma.pgoff];
    }
    return contents_text(shape_, o.cell, frame == none ? Contents{} : w_.frame[frame].contents);
  }

  std::string identity(const Observe& o) const {
    if (!alive(o.process) || !alive(o.process2)) return text_not_reached;
    const Pte& a = w_.mm[o.process].pte[shape_.spans.of(o.cell)];
    const Pte& b = w_.mm[o.process2].pte[shape_.spans.of(o.cell2)];
    const auto present = [](const Pte& p) { return p.kind == Pte::Kind::page || p.kind == Pte::Kind::zero; };
    if (!present(a) || !present(b)) return text_not_reached;
    bool same = a.frame == b.frame;
    if (same && a.frame == none) {  // the zero page, or a place in the huge one
      const auto offset = [](const Pte& pte, Cell cell) { return pte.huge ? cell.page % huge_pages : -1; };
      same = offset(a, o.cell) == offset(b, o.cell2);
    }
    return same ? text_same : text_different;
  }

  // A process that holds no descriptor cannot ask.
  std::string location(const Observe& o) const {
    if (!alive(o.process) || !w_.process[o.process].descriptors) return text_not_reached;
    switch (w_.mm[o.process].pte[shape_.spans.of(o.cell)].kind) {
      case Pte::Kind::none: return text_none;
      case Pte::Kind::device: return text_device;
      case Pte::Kind::page:
      case Pte::Kind::zero:
      case Pte::Kind::exclusive:
      case Pte::Kind::migration: return text_system;
    }
    return "?";
  }

  std::string events(int observe) const {
    const int process = program_.observes[observe].process;
    unsigned own = 0;  // the driver tells the opener
    for (int device = 0; device < limits::devices; ++device) own |= 1u << mirror_id(device, process);
    if (!alive(process) || !(w_.process[process].descriptors & own)) return text_not_reached;
    const std::string told = told_text(w_, observe);
    return told.empty() ? text_none : told;
  }

  const Shape& shape_;
  const World& w_;
  const Program& program_;
};

Outcome outcome_of(const Shape& shape, const World& world, const std::vector<Observable>& schema) {
  const Texts texts(shape, world);
  Outcome outcome;
  for (const Observable& o : schema) outcome.push_back(texts.of(o));
  return outcome;
}

// Those who wait in an end state. Nothing when one of them waits inside the kernel: then it is no doing of the Program.
std::vector<Waiting> waiting_in(const Program& program, const World& world) {
  std::vector<Waiting> waiting;
  for (int t = 0; t < static_cast<int>(program.threads.size()); ++t) {
    if (world.thread[t].life != ThreadState::Life::running) continue;
    const int at = world.thread[t].next;
    const auto& statements = program.threads[t].statements;
    if (at >= static_cast<int>(statements.size())) return {};
    const Operation& operation = statements[at].operation;
    if (!std::holds_alternative<op::Wait>(operation) && !std::holds_alternative<op::Barrier>(operation)) return {};
    waiting.push_back({t, at});
  }
  return waiting;
}

// Without ranges amdkfd has nothing to do: what is left are userptr pages, which come and go as test_hmm's do.
Facets effective(const Program& program, Facets facets) {
  if (is_kfd(facets.device_class) && !has_ranges(program, facets.device_class)) facets.device_class = DeviceClass::recoverable;
  return facets;
}

// What compaction, NUMA balancing and their like add where a device has pages.
std::vector<Observable> schema_with_weather(const Program& program, DeviceClass device_class) {
  using Weather = Observable::Weather;
  std::vector<Observable> schema = faultline::schema(program);
  for (Observable& o : schema)
    if (o.kind == Observable::Kind::events && is_kfd(device_class))
      o.weather = device_class == DeviceClass::unmap_and_retry     ? Weather::unmaps
                  : device_class == DeviceClass::fault_and_migrate ? Weather::faults
                                                                   : Weather::stops;
  return schema;
}

}  // namespace

std::string unpredicted(const Program& program, DeviceClass device_class) {
  return is_kfd(device_class) && has_ranges(program, device_class) ? unknown_to_kfd(program) : "";
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
  std::set<Outcome> outcomes;
  bool lost = false;  // an end that cannot be looked at
  bool never_returns = false;
  const auto at_end = [&](const void* world, bool waits) {
    if (waits) {
      const std::vector<Waiting> found = waiting_in(program, *static_cast<const World*>(world));
      // The same one whatever the order of the exploration.
      if (facets.dropped.any() || found.empty()) never_returns = true;
      else if (allowed.waiting.empty() || found < allowed.waiting) allowed.waiting = found;
    }
    if (is_kfd(own.device_class) && loses_location(subject.shape(), *static_cast<const World*>(world))) lost = true;
    else outcomes.insert(outcome_of(subject.shape(), *static_cast<const World*>(world), allowed.schema));
  };
  const Exploration e = explore(subject, {.states = budget.states, .workers = budget.workers}, at_end, keep_going);
  std::uint32_t broken = subject.broken();
  if (never_returns) broken |= 1u << static_cast<int>(Broken::never_returns);
  allowed.outcomes.assign(outcomes.begin(), outcomes.end());
  allowed.complete = e.complete && !(broken >> static_cast<int>(Broken::tables_full) & 1);
  allowed.states = e.states;
  allowed.executions = e.ends;
  constexpr int unresolved = static_cast<int>(KnownBug::unresolved_fault);
  if (subject.known_bugs() >> unresolved & 1) allowed.undefined = unresolved_text;
  for (int b = 0; b < unresolved; ++b)
    if (subject.known_bugs() >> b & 1 || (lost && b == static_cast<int>(KnownBug::lost_location))) allowed.known_bugs.push_back(known_bug_name(b));
  for (int b = 0; b < static_cast<int>(Broken::count_); ++b)
    if (broken >> b & 1) allowed.findings.push_back(finding_text(b));
  if (e.complete && e.ends == 0 && allowed.known_bugs.empty() && allowed.undefined.empty()) allowed.findings.push_back("no execution comes to an end");
  allowed.seconds = seconds();
  return allowed;
}

Explained explain(const Program& program, const Facets& facets, const std::function<bool(const Outcome&)>& wanted,
                  std::uint64_t max_states) {
  const ProgramSubject subject(make_shape(program, effective(program, facets)));
  const std::vector<Observable> schema = faultline::schema(program);
  const auto outcome = [&](const void* world) {
    return outcome_of(subject.shape(), *static_cast<const World*>(world), schema);
  };
  Found found = shortest(subject, [&](const Moment& m) { return m.end && wanted(outcome(m.world)); }, max_states);
  Explained result{.complete = found.complete};
  if (!found.schedule) return result;
  // Once more along the schedule, to see which statement each step belongs to.
  Machine machine(subject);
  Explanation& explanation = result.found.emplace();
  for (const ScheduleStep& step : *found.schedule) {
    const ThreadState& thread = static_cast<const World*>(machine.world())->thread[step.thread];
    const bool in_statement = thread.life == ThreadState::Life::running &&
                              thread.next < program.threads[step.thread].statements.size();
    explanation.statement.push_back(in_statement ? thread.next : -1);
    machine.resume({static_cast<std::uint8_t>(step.thread), static_cast<std::uint8_t>(step.way)});
    subject.arrive(machine.world());
  }
  explanation.outcome = outcome(machine.world());
  explanation.schedule = std::move(*found.schedule);
  return result;
}

}  // namespace faultline
