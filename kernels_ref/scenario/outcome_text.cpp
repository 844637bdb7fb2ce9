#include "kernels_ref/scenario/outcome_text.h"

#include <utility>

#include "harness/queries.h"
#include "kernels_ref/drivers/driver.h"
#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/stack.h"

namespace faultline::ref {

namespace {

std::string contents_text(const Shape& shape, Cell cell, Contents contents) {
  if (contents.home == none) return text_zero;
  return value_text(*shape.program, cell, shape.spans.first(contents.home), contents.value);
}

class Texts {
 public:
  Texts(const Shape& shape, const World& world) : shape_(shape), w_(world), program_(*shape.program) {}

  // More than one text, if the load that looks may find one or the other.
  std::vector<std::string> of(const Observable& o) const {
    switch (o.kind) {
      case Observable::Kind::result:
      case Observable::Kind::faults: return {result(o)};
      case Observable::Kind::value: return values(program_.observes[o.observe]);
      case Observable::Kind::identity: return {identity(program_.observes[o.observe])};
      case Observable::Kind::location: return {location(program_.observes[o.observe])};
      case Observable::Kind::events: return {events(o.observe)};
    }
    return {"?"};
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

  // A dying thread may or may not have done the first operation for which it has reported no result.
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

  std::vector<std::string> values(const Observe& o) const {
    if (!alive(o.process)) return {text_not_reached};
    const Slot s = shape_.spans.of(o.cell);
    const VmaPage& vma = w_.mm[o.process].vma[s];
    const Pte& pte = w_.mm[o.process].pte[s];
    if (!vma.mapped()) {
      const Slot stack = stack_above(shape_, w_, o.process, s);
      const bool grows = stack >= 0 && fits_stack(shape_, w_, o.process, stack, s);
      return {grows && w_.mm[o.process].vma[stack].accessible() ? text_zero : "SIGSEGV"};
    }
    if (!vma.accessible()) return {"SIGSEGV"};
    const Driver& driver = driver_of(shape_.device_class);
    if (driver.brings_back && pte.kind == Pte::Kind::device && !driver.brings_back(w_, s, pte.frame)) return {"SIGBUS"};
    int frame = pte.frame;
    bool beyond_end = false;
    if (pte.kind == Pte::Kind::none && vma.object != none) {
      beyond_end = vma.pgoff >= w_.object[vma.object].size;
      if (beyond_end && !may_be_mapped(o.process, s)) return {"SIGBUS"};
      frame = w_.object[vma.object].frame[vma.pgoff];
    }
    std::vector<std::string> texts{contents_text(shape_, o.cell, frame == none ? Contents{} : w_.frame[frame].contents)};
    if (beyond_end) texts.push_back("SIGBUS");
    return texts;
  }

  // do_fault_around: a page beyond the end of the file may be mapped with the pages before the end, if they share a huge page.
  bool may_be_mapped(int process, Slot s) const {
    const VmaPage& vma = w_.mm[process].vma[s];
    const FrameId page = w_.object[vma.object].frame[vma.pgoff];
    return page != none && w_.frame[page].folio && reaches_around(shape_, w_, process, s);
  }

  std::string identity(const Observe& o) const {
    if (!alive(o.process) || !alive(o.process2)) return text_not_reached;
    const Pte& a = w_.mm[o.process].pte[shape_.spans.of(o.cell)];
    const Pte& b = w_.mm[o.process2].pte[shape_.spans.of(o.cell2)];
    const auto present = [](const Pte& p) { return p.kind == Pte::Kind::page || p.kind == Pte::Kind::zero; };
    if (!present(a) || !present(b)) return text_not_reached;
    bool same = a.frame == b.frame;
    if (same && a.frame == none) {  // the zero page, or a page of the huge zero page
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
    unsigned own = 0;  // the driver reports to the opener
    for (int device = 0; device < limits::devices; ++device) own |= 1u << mirror_id(device, process);
    if (!alive(process) || !(w_.process[process].descriptors & own)) return text_not_reached;
    const Driver& driver = driver_of(shape_.device_class);
    const std::string told = driver.events_text ? driver.events_text(w_, observe) : "";
    return told.empty() ? text_none : told;
  }

  const Shape& shape_;
  const World& w_;
  const Program& program_;
};

}  // namespace

std::vector<Outcome> outcomes_of(const Shape& shape, const World& world, const std::vector<Observable>& schema) {
  const Texts texts(shape, world);
  std::vector<Outcome> outcomes{{}};
  for (const Observable& o : schema) {
    const std::vector<std::string> ways = texts.of(o);
    const std::size_t before = outcomes.size();
    for (std::size_t way = 1; way < ways.size(); ++way)
      for (std::size_t i = 0; i < before; ++i) outcomes.push_back(outcomes[i]);
    for (std::size_t i = 0; i < outcomes.size(); ++i) outcomes[i].push_back(ways[i / before]);
  }
  return outcomes;
}

std::vector<Observable> schema_with_weather(const Program& program, DeviceClass device_class) {
  std::vector<Observable> schema = faultline::schema(program);
  for (Observable& o : schema)
    if (o.kind == Observable::Kind::events) o.weather = driver_of(device_class).weather;
  return schema;
}

}  // namespace faultline::ref
