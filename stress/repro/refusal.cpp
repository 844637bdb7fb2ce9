// What a reproducer cannot say or tell, and why.
#include <algorithm>

#include "harness/language/printer.h"
#include "harness/outcome.h"
#include "harness/queries.h"
#include "stress/repro/condition.h"
#include "stress/repro/repro.h"

namespace faultline::repro {
namespace {

constexpr int most_pins = 32;  // the table of pins.c

// The word that the statement begins with, behind "r0 =".
std::string word_of(const Program& program, const Thread& thread, const Statement& statement) {
  const std::string text = print(program, thread, statement);
  std::size_t begin = statement.name.empty() ? 0 : text.find('=') + 1;
  begin = text.find_first_not_of(' ', begin);
  return text.substr(begin, text.find_first_of(" \n", begin) - begin);
}

const char* machine_text(Machine machine) {
  switch (machine) {
    case Machine::host: return "a CPU thread in the place of a device";
    case Machine::pinned: return "a device that reaches memory through pins";
    case Machine::dmirror: break;
  }
  return "test_hmm";
}

// Why the machine cannot do the operation; empty if it can.
std::string unable(const Program& program, const Thread& thread, const Operation& operation, Machine machine) {
  if (order_of(operation) != Order::plain || std::holds_alternative<op::Update>(operation) || is_svm_command(operation))
    return "it is about the memory model of OpenCL, which needs a driver of OpenCL";
  const bool moves = std::holds_alternative<op::Migrate>(operation) || std::holds_alternative<op::Snapshot>(operation) ||
                     std::holds_alternative<op::Exclusive>(operation);
  const bool pins = std::holds_alternative<op::Pin>(operation) || std::holds_alternative<op::Unpin>(operation);
  const bool opens = std::holds_alternative<op::Open>(operation) || std::holds_alternative<op::Close>(operation);
  if ((moves && machine != Machine::dmirror) || ((pins || opens) && machine == Machine::host))
    return std::string(machine_text(machine)) + " cannot do it";
  const auto is_pin = [](const Operation& o) { return std::holds_alternative<op::Pin>(o); };
  if (opens && machine == Machine::dmirror && any_operation(program, is_pin))
    return "a reproducer on test_hmm has either pins or an open and a close";
  const Via via = via_of(operation);
  if (!via.cpu() && via.opener != thread.process && (machine != Machine::dmirror || pins))
    return std::string(machine_text(machine)) + " serves only the process that opened it";
  return {};
}

// The threads that name the barrier, by how often.
std::vector<int> uses_of(const Program& program, int barrier) {
  std::vector<int> uses(program.threads.size());
  each<op::Barrier>(program, [&](int thread, const op::Barrier& o) { uses[thread] += o.barrier == barrier ? 1 : 0; });
  return uses;
}

// Whether the thread names the barrier behind statement `index`.
bool names_later(const Thread& thread, std::size_t index, int barrier) {
  for (std::size_t i = index + 1; i < thread.statements.size(); ++i)
    if (const auto* o = std::get_if<op::Barrier>(&thread.statements[i].operation); o && o->barrier == barrier) return true;
  return false;
}

// Barriers in C count arrivals. So each thread must come as often as the others, and be alive until it has come.
std::string unmet(const Program& program, int barrier) {
  const std::vector<int> uses = uses_of(program, barrier);
  int most = 0;
  for (const int count : uses) most = std::max(most, count);
  for (std::size_t t = 0; t < uses.size(); ++t) {
    if (uses[t] != 0 && uses[t] != most) return "its threads do not name it equally often";
    if (uses[t] == 0) continue;
    const int process = program.threads[t].process;
    for (std::size_t other = 0; other < program.threads.size(); ++other) {
      const Thread& thread = program.threads[other];
      for (std::size_t i = 0; i < thread.statements.size(); ++i) {
        const auto* kill = std::get_if<op::Kill>(&thread.statements[i].operation);
        const bool exits = std::holds_alternative<op::Exit>(thread.statements[i].operation) && thread.process == process;
        if (!exits && !(kill && kill->process == process)) continue;
        if (uses[other] == 0 || names_later(thread, i, barrier)) return "a process may end before its thread comes there";
      }
    }
  }
  return {};
}

int pinned_pages(const Program& program) {
  int pages = 0;
  each<op::Pin>(program, [&](int, const op::Pin& pin) { pages += pin.range.count; });
  return pages;
}

}  // namespace

std::optional<Machine> machine_of(const Program& program) {
  if (program.devices.empty()) return Machine::host;
  switch (program.devices.front().device_class) {
    case DeviceClass::shares_cpu_tables: return Machine::host;
    case DeviceClass::pinned: return Machine::pinned;
    case DeviceClass::recoverable: return Machine::dmirror;
    default: return std::nullopt;
  }
}

std::optional<Refusal> cannot_say(const Program& program, Machine machine) {
  for (const Region& region : program.regions)
    if (is_buffer(region.backing)) return Refusal{region.place, region.name, "a buffer needs a driver of OpenCL"};
  if (program.devices.size() > 1 && machine == Machine::pinned)
    return Refusal{program.devices[1].place, "device", "a reproducer has one device with pins"};
  for (const Thread& thread : program.threads)
    for (const Statement& statement : thread.statements) {
      std::string why = unable(program, thread, statement.operation, machine);
      if (const auto* barrier = std::get_if<op::Barrier>(&statement.operation)) why = unmet(program, barrier->barrier);
      if (std::holds_alternative<op::Pin>(statement.operation) && pinned_pages(program) > most_pins)
        why = "a reproducer has at most " + std::to_string(most_pins) + " pins";
      if (!why.empty()) return Refusal{statement.place, word_of(program, thread, statement), why};
    }
  return std::nullopt;
}

std::optional<Refusal> cannot_tell(const Program& program, const Condition& condition, Machine machine) {
  const std::vector<Observable> keys = schema(program);
  std::optional<Refusal> refusal;
  each_comparison(condition, [&](const Condition& comparison) {
    if (refusal) return;
    const Observable* const observable = observable_of(comparison, keys);
    const bool missing = comparison.value == text_not_reached || comparison.value == text_unknown;
    std::string why;
    if (!observable) why = "this scenario does not have it";
    else if (observable->kind == Observable::Kind::events) why = "a C program does not get the events of a driver";
    else if (observable->kind == Observable::Kind::faults && machine != Machine::dmirror)
      why = std::string(machine_text(machine)) + " does not count faults";
    else if (observable->kind == Observable::Kind::location && machine != Machine::dmirror)
      why = std::string(machine_text(machine)) + " has no memory";
    else if (observable->thread >= 0 && missing) why = "it cannot tell a statement that was not reached from one that was killed";
    if (!why.empty()) refusal = Refusal{comparison.place, comparison.key, why};
  });
  return refusal;
}

}  // namespace faultline::repro
