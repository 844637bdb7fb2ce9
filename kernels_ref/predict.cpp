#include "kernels_ref/predict.h"

#include <chrono>
#include <set>

#include "kernels_ref/explorer.h"
#include "kernels_ref/mmap.h"

namespace faultline {

namespace {

using namespace ref;

std::string known_bug_name(int bug) {
  switch (static_cast<KnownBug>(bug)) {
    case KnownBug::read_private_oops: return "test_hmm-read-private-oops";
    case KnownBug::write_private_warn: return "test_hmm-write-private-warn";
    case KnownBug::unstamped_migrate: return "test_hmm-unstamped-migrate";
    case KnownBug::stale_migrated_entry: return "test_hmm-stale-migrated-entry";
    case KnownBug::dead_mm_fault: return "test_hmm-dead-mm-fault";
    case KnownBug::count_: break;
  }
  return "?";
}

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

Shape make_shape(const Program& program, const Facets& facets) {
  Shape shape;
  shape.program = &program;
  shape.device_class = facets.device_class;
  shape.dropped = facets.dropped;
  for (std::size_t r = 0; r < program.regions.size(); ++r) {
    shape.first_slot[r] = static_cast<std::uint8_t>(shape.slots);
    for (int p = 0; p < program.regions[r].pages; ++p) {
      shape.region_of[shape.slots] = static_cast<std::uint8_t>(r);
      shape.page_of[shape.slots++] = static_cast<std::uint8_t>(p);
    }
  }
  int results = 0;
  std::array<bool, max_mms> uses{}, opens{};
  const auto use = [&uses](Via via) {
    if (!via.cpu()) uses[via.opener] = true;
  };
  for (std::size_t t = 0; t < program.threads.size(); ++t) {
    const Thread& thread = program.threads[t];
    shape.first_result[t] = static_cast<std::uint8_t>(results);
    results += static_cast<int>(thread.statements.size());
    use(thread.via);
    for (const Statement& s : thread.statements) {
      if (std::get_if<op::Exit>(&s.operation)) shape.mortal[thread.process] = true;
      if (const auto* o = std::get_if<op::Kill>(&s.operation)) shape.mortal[o->process] = true;
      if (std::get_if<op::Open>(&s.operation)) opens[thread.process] = true;
      if (const auto* o = std::get_if<op::Load>(&s.operation)) use(o->via);
      if (const auto* o = std::get_if<op::Store>(&s.operation)) use(o->via);
      if (const auto* o = std::get_if<op::Migrate>(&s.operation)) use(o->via);
      if (const auto* o = std::get_if<op::Snapshot>(&s.operation)) use(o->via);
    }
  }
  for (int p = 0; p < max_mms; ++p)
    shape.opens_first[p] = uses[p] && !opens[p] && facets.device_class == DeviceClass::recoverable;
  return shape;
}

// Where the threads start: roots with their regions mapped and populated by CPU stores, devices open.
void start(const Shape& shape, World& w) {
  State state;  // map_pages and its like want a Cpu; only the World of this one is used
  state.world = w;
  const Program& program = *shape.program;
  for (std::size_t p = 0; p < program.processes.size(); ++p) {
    if (program.processes[p].parent >= 0) continue;
    ProcessState& process = state.world.process[p];
    process.life = ProcessState::Life::alive;
    process.started = 1;
    int first_thread = 0;
    for (std::size_t t = program.threads.size(); t-- > 0;) {
      if (program.threads[t].process != static_cast<int>(p)) continue;
      ++process.threads;
      first_thread = static_cast<int>(t);
    }
    const MmId mm = static_cast<MmId>(p);
    state.world.mm[mm].users = process.threads;
    const Cpu cpu{&shape, &state, first_thread};
    for (std::size_t r = 0; r < program.regions.size(); ++r) {
      const Region& region = program.regions[r];
      if (region.owner != mm || region.backing == Backing::none) continue;
      const Slot from = shape.first_slot[r], to = from + region.pages - 1;
      map_pages(cpu, mm, from, to, region.backing, region.protection);
      if (!region.initial) continue;
      for (Slot s = from; s <= to; ++s) {
        const Contents contents{static_cast<std::uint8_t>(s), static_cast<std::uint8_t>(*region.initial)};
        const bool shared = region.backing == Backing::anon_shared;
        const FrameId f = alloc_frame(cpu, shared ? Frame::Kind::shared : Frame::Kind::anon, contents);
        set_pte(state.world, mm, s, page_pte(f, region.protection.write));
        if (shared) {
          const VmaPage& vma = state.world.mm[mm].vma[s];
          state.world.object[vma.object].frame[vma.object_page] = static_cast<std::uint8_t>(f);
          get_ref(state.world, f);
        } else {
          state.world.frame[f].exclusive = 1;
          prepare_anon_vma(cpu, mm, s);
        }
      }
    }
    if (shape.opens_first[p]) {
      process.descriptors = static_cast<std::uint8_t>(1 << p);
      state.world.mm[mm].notifiers = 1;
      state.world.mirror[mm].files = 1;
    }
  }
  w = state.world;
}

Cell cell_of(const Shape& shape, int slot) { return {shape.region_of[slot], shape.page_of[slot]}; }

std::string contents_text(const Shape& shape, Cell cell, Contents contents) {
  if (contents.home == none) return text_zero;
  return value_text(*shape.program, cell, cell_of(shape, contents.home), contents.value);
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
    return statement == w_.thread[thread].next ? text_unknown : text_not_reached;
  }

  Cell loaded_cell(const Observable& o) const {
    return std::get<op::Load>(program_.threads[o.thread].statements[o.statement].operation).cell;
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
    const Slot s = shape_.slot(o.cell);
    const VmaPage& vma = w_.mm[o.process].vma[s];
    const Pte& pte = w_.mm[o.process].pte[s];
    if (!vma.mapped() || !vma.accessible()) return "SIGSEGV";
    int frame = pte.frame;
    if (pte.kind == Pte::Kind::none && vma.object != none) frame = w_.object[vma.object].frame[vma.object_page];
    return contents_text(shape_, o.cell, frame == none ? Contents{} : w_.frame[frame].contents);
  }

  std::string identity(const Observe& o) const {
    if (!alive(o.process) || !alive(o.process2)) return text_not_reached;
    const Pte& a = w_.mm[o.process].pte[shape_.slot(o.cell)];
    const Pte& b = w_.mm[o.process2].pte[shape_.slot(o.cell2)];
    const auto present = [](const Pte& p) { return p.kind == Pte::Kind::page || p.kind == Pte::Kind::zero; };
    if (!present(a) || !present(b)) return text_not_reached;
    return a.frame == b.frame ? text_same : text_different;
  }

  const Shape& shape_;
  const World& w_;
  const Program& program_;
};

}  // namespace

Allowed predict(const Program& program, const Facets& facets, const Budget& budget,
                const std::function<bool(std::uint64_t)>& keep_going) {
  const auto began = std::chrono::steady_clock::now();
  const Shape shape = make_shape(program, facets);
  Allowed allowed;
  allowed.schema = schema(program);
  std::set<Outcome> outcomes;
  const auto at_end = [&](const World& world) {
    const Texts texts(shape, world);
    Outcome outcome;
    for (const Observable& o : allowed.schema) outcome.push_back(texts.of(o));
    outcomes.insert(std::move(outcome));
  };
  const Exploration e = explore(
      shape, [&shape](World& w) { start(shape, w); }, {.states = budget.states}, at_end, keep_going);
  allowed.outcomes.assign(outcomes.begin(), outcomes.end());
  allowed.complete = e.complete;
  allowed.states = e.states;
  allowed.executions = e.ends;
  for (int b = 0; b < static_cast<int>(KnownBug::count_); ++b)
    if (e.known_bugs >> b & 1) allowed.known_bugs.push_back(known_bug_name(b));
  for (int b = 0; b < static_cast<int>(Broken::count_); ++b)
    if (e.broken >> b & 1) allowed.findings.push_back(finding_text(b));
  allowed.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return allowed;
}

}  // namespace faultline
