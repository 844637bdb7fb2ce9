#include "harness/outcome.h"

#include <csignal>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "harness/queries.h"

namespace faultline {
namespace {

bool has_result(const Operation& operation) {
  return !std::holds_alternative<op::Barrier>(operation) && !std::holds_alternative<op::Delay>(operation);
}

std::string place_text(const Program& program, int process, Cell cell) {
  return program.processes.at(process).name + ":" + cell_text(program, cell);
}

// The kind of observable that the observe makes. Nothing if a target with this sight cannot see it.
std::optional<Observable::Kind> kind_of(const Observe& observe, const Sight& sight) {
  switch (observe.kind) {
    case Observe::Kind::value: return Observable::Kind::value;
    case Observe::Kind::same: return sight.identity ? std::optional(Observable::Kind::identity) : std::nullopt;
    case Observe::Kind::where: return sight.location ? std::optional(Observable::Kind::location) : std::nullopt;
    case Observe::Kind::events: return sight.events ? std::optional(Observable::Kind::events) : std::nullopt;
  }
  throw std::logic_error("an observe of no kind");
}

void add_thread(std::vector<Observable>& result, const Program& program, int index, const Sight& sight) {
  const Thread& thread = program.threads[index];
  for (int i = 0; i < static_cast<int>(thread.statements.size()); i++) {
    const Statement& statement = thread.statements[i];
    if (!has_result(statement.operation)) continue;
    const std::string name = statement.name.empty() ? "#" + std::to_string(i + 1) : statement.name;
    const std::string key = thread.name + ":" + name;
    result.push_back({Observable::Kind::result, key, index, i, -1});
    if (sight.faults && is_device_access(statement.operation)) {
      result.push_back({Observable::Kind::faults, key + ".faults", index, i, -1});
    }
  }
}

const std::string& text_of(const std::string& key, std::span<const Observable> schema, const Outcome& outcome) {
  for (std::size_t i = 0; i < schema.size(); i++) {
    if (schema[i].key == key) return outcome.at(i);
  }
  throw std::invalid_argument("condition about '" + key + "', which the schema does not have");
}

// Whether `seen` is `allowed` plus letters that weather may add:
//   - unmaps: a U, once the device has had the page;
//   - faults: such a U, and an F directly after it;
//   - stops: E and R in turns, if the queues are in the same state at the end;
//   - any but none: S after S (the migration took more than one attempt), F after F (the device faulted again before
//     the driver had answered).
bool adds_weather(Observable::Weather weather, std::string_view seen, std::string_view allowed) {
  bool mapped = false, stopped = false;
  const std::size_t last = allowed.find_last_of("ER");
  const bool stays_stopped = last != allowed.npos && allowed[last] == 'E';
  char previous = '\0';
  for (const char letter : seen) {
    const bool again = (letter == 'S' || letter == 'F') && previous == letter && weather != Observable::Weather::none;
    const bool behind_unmap = previous == 'U';
    previous = letter;
    if (again) continue;
    if (letter == 'E' || letter == 'R') {
      if (stopped != (letter == 'R')) return false;
      stopped = !stopped;
    }
    mapped = mapped || letter == 'D' || letter == 'F';
    if (!allowed.empty() && letter == allowed.front()) allowed.remove_prefix(1);
    else if (weather == Observable::Weather::unmaps   ? letter != 'U' || !mapped
             : weather == Observable::Weather::faults ? !(letter == 'U' && mapped) && !(letter == 'F' && behind_unmap)
             : weather == Observable::Weather::stops  ? letter != 'E' && letter != 'R'
                                                      : true)
      return false;
  }
  return allowed.empty() && stopped == stays_stopped;
}

// The same for the text of a prediction, where a "*" at the end stands for anything.
bool events_allowed(Observable::Weather weather, std::string_view seen, std::string_view allowed) {
  if (allowed == text_none) allowed = "";
  if (!allowed.ends_with('*')) return adds_weather(weather, seen, allowed);
  allowed.remove_suffix(1);
  for (std::size_t length = allowed.size(); length <= seen.size(); ++length)
    if (adds_weather(weather, seen.substr(0, length), allowed)) return true;
  return false;
}

}  // namespace

bool is_device_access(const Operation& operation) {
  const std::optional<Via> via = via_of_access(operation);
  return via && !via->cpu();
}

std::vector<Observable> schema(const Program& program, const Sight& sight) {
  std::vector<Observable> result;
  Sight own = sight;
  if (is_about_memory_model(program)) own.faults = false;  // the memory model knows no PTEs
  for (int i = 0; i < static_cast<int>(program.threads.size()); i++) add_thread(result, program, i, own);
  for (int i = 0; i < static_cast<int>(program.observes.size()); i++) {
    const Observe& observe = program.observes[i];
    const auto kind = kind_of(observe, sight);
    if (!kind) continue;
    const bool of_page = kind == Observable::Kind::location || kind == Observable::Kind::identity;
    const bool stays = of_page && !sight.migration_errors;
    result.push_back({*kind, observe_text(program, observe), -1, -1, i, stays});
  }
  return result;
}

std::string describe(std::span<const Observable> schema, const Program& program, const Outcome& outcome, bool all) {
  std::string result;
  for (std::size_t i = 0; i < schema.size(); i++) {
    const Observable& observable = schema[i];
    const bool named =
        observable.observe >= 0 || (observable.kind == Observable::Kind::result &&
                                    !program.threads.at(observable.thread).statements.at(observable.statement).name.empty());
    if (!named && !all) continue;
    if (!result.empty()) result += ' ';
    result += observable.key + "=" + outcome.at(i);
  }
  return result;
}

std::string cell_text(const Program& program, Cell cell) {
  return program.regions.at(cell.region).name + "[" + std::to_string(cell.page) + "]";
}

std::string observe_text(const Program& program, const Observe& observe) {
  const std::string first = place_text(program, observe.process, observe.cell);
  switch (observe.kind) {
    case Observe::Kind::value: return first;
    case Observe::Kind::same: return "same(" + first + "," + place_text(program, observe.process2, observe.cell2) + ")";
    case Observe::Kind::where: return "where(" + first + ")";
    case Observe::Kind::events: return "events(" + first + ")";
  }
  throw std::logic_error("an observe of no kind");
}

std::string value_text(const Program& program, Cell cell, Cell home, int value) {
  const std::string text = std::to_string(value);
  return home == cell ? text : text + "@" + cell_text(program, home);
}

std::string errno_text(int error) {
  if (error == 0) return text_ok;
  const char* name = strerrorname_np(error);
  return name ? name : "E" + std::to_string(error);
}

std::string signal_text(int signal) {
  const char* name = sigabbrev_np(signal);
  return (name ? "SIG" : "SIG" + std::to_string(signal)) + std::string(name ? name : "");
}

char snapshot_letter(unsigned char byte) {
  if (byte == 0xFF) return '!';
  constexpr unsigned huge_bits = 0x04 | 0x08;
  switch (byte & ~huge_bits) {
    case 0x00: return '.';
    case 0x01: return 'r';
    case 0x02: return 'w';
    case 0x11: return 'z';
    case 0x12: return 'Z';
    case 0x21: return 'd';
    case 0x22: return 'D';
    default: return 'x';
  }
}

bool is_gap(const Observable& observable, const std::string& text) {
  return observable.kind == Observable::Kind::events && text.starts_with(text_gap);
}

bool at_or_below(const Observable& observable, const std::string& seen, const std::string& allowed) {
  if (seen == allowed) return true;
  if (observable.kind == Observable::Kind::location) return observable.stays && seen == text_system && allowed == text_device;
  if (observable.kind == Observable::Kind::identity) return observable.stays && allowed == text_not_reached;
  if (observable.kind == Observable::Kind::events)
    return is_gap(observable, seen) || events_allowed(observable.weather, seen, allowed);
  return observable.kind == Observable::Kind::faults && seen == text_fault && allowed == text_hit;
}

bool at_or_below(std::span<const Observable> schema, const Outcome& seen, const Outcome& allowed) {
  if (seen.size() != schema.size() || allowed.size() != schema.size()) return false;
  for (std::size_t i = 0; i < schema.size(); i++) {
    if (!at_or_below(schema[i], seen[i], allowed[i])) return false;
  }
  return true;
}

bool decidable(const Condition& condition, std::span<const Observable> schema) {
  if (condition.kind == Condition::Kind::equal || condition.kind == Condition::Kind::not_equal) {
    for (const Observable& observable : schema) {
      if (observable.key == condition.key) return true;
    }
    return false;
  }
  for (const Condition& part : condition.parts) {
    if (!decidable(part, schema)) return false;
  }
  return true;
}

bool holds(const Condition& condition, std::span<const Observable> schema, const Outcome& outcome) {
  switch (condition.kind) {
    case Condition::Kind::equal: return text_of(condition.key, schema, outcome) == condition.value;
    case Condition::Kind::not_equal: return text_of(condition.key, schema, outcome) != condition.value;
    case Condition::Kind::all:
      for (const Condition& part : condition.parts) {
        if (!holds(part, schema, outcome)) return false;
      }
      return true;
    case Condition::Kind::any:
      for (const Condition& part : condition.parts) {
        if (holds(part, schema, outcome)) return true;
      }
      return false;
    case Condition::Kind::negation: return !holds(condition.parts.at(0), schema, outcome);
  }
  throw std::logic_error("a condition of no kind");
}

}  // namespace faultline
