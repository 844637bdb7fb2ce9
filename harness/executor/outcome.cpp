#include "harness/executor/outcome.h"

#include "harness/executor/turns.h"
#include "harness/executor/value.h"
#include "harness/queries.h"

namespace faultline {
namespace {

const char* location_text(Location location) {
  switch (location) {
    case Location::none: return text_none;
    case Location::system: return text_system;
    case Location::device: return text_device;
  }
  return text_alien;
}

std::string events_text(const Look& look) {
  if (look.done.load() == 0) return text_not_reached;
  if (look.gap[0] != '\0') return std::string(text_gap) + " (" + look.gap.data() + ")";
  return look.events[0] != '\0' ? look.events.data() : text_none;
}

}  // namespace

OutcomeReader::OutcomeReader(const Program& program, const Layout& layout, const Area& area, const Sight& sight)
    : program_(program), layout_(layout), area_(area), schema_(schema(program, sight)) {}

// If a thread did not finish, its first statement without a result had either begun or not; its result is unknown. The
// statements after it were not reached.
OutcomeReader::Known OutcomeReader::known(int thread, int statement) const {
  if (turn_) return Known::result;
  const int first = layout_.first_slot[thread];
  if (area_.slots[first + statement].done.load(std::memory_order_acquire) != 0) return Known::result;
  const int process = program_.threads[thread].process;
  const bool root = program_.processes[process].parent < 0;
  if (!root && static_cast<Life>(area_.processes[process].life.load()) != Life::born) return Known::not_reached;
  const bool first_missing = statement == 0 || area_.slots[first + statement - 1].done.load(std::memory_order_acquire) != 0;
  return first_missing ? Known::unknown : Known::not_reached;
}

std::uint64_t OutcomeReader::iteration() const { return turn_ ? area_.turns.iterations[*turn_] : area_.iteration.load(); }

const SeenResult& OutcomeReader::result_of(const Observable& observable) const {
  const int slot = layout_.first_slot[observable.thread] + observable.statement;
  return turn_ ? kept(program_, layout_, area_, *turn_, slot) : area_.slots[slot].result;
}

// Null if the observe has no answer.
const SeenResult* OutcomeReader::reading_of(const Observable& observable) const {
  if (turn_) return &kept(program_, layout_, area_, *turn_, layout_.slots + observable.observe);
  const Reading& reading = area_.readings[observable.observe];
  return reading.done.load() != 0 ? &reading.result : nullptr;
}

bool OutcomeReader::alive(int process) const {
  const ProcessRecord& record = area_.processes[process];
  const bool root = program_.processes[process].parent < 0;
  return (root || static_cast<Life>(record.life.load()) == Life::born) && record.ended.load() == 0;
}

void OutcomeReader::append(std::string& key, const SeenResult& result) const {
  key += static_cast<char>(result.kind);
  switch (result.kind) {
    case SeenResult::Kind::errno_value:
    case SeenResult::Kind::signal:
      key += static_cast<char>(result.code & 0xff);
      key += static_cast<char>(result.code >> 8 & 0xff);
      break;
    case SeenResult::Kind::word: {
      const CellContent content = decode_word(iteration(), result.word);
      key += static_cast<char>(content.kind);
      key += static_cast<char>(content.home);
      key += static_cast<char>(content.value);
      break;
    }
    case SeenResult::Kind::letters:
      for (int i = 0; i < result.code; ++i) key += snapshot_letter(result.bytes[i]);
      break;
    case SeenResult::Kind::exited:
    case SeenResult::Kind::killed: break;
  }
}

std::string OutcomeReader::key(const std::vector<Sameness>& identities) const {
  std::string key;
  for (const Observable& observable : schema_) {
    if (observable.kind == Observable::Kind::identity) {
      key += static_cast<char>(identities[observable.observe]);
    } else if (observable.kind == Observable::Kind::location) {
      const Look& look = area_.looks[observable.observe];
      key += static_cast<char>(look.done.load() * 4 + static_cast<unsigned>(look.location));
    } else if (observable.kind == Observable::Kind::events) {
      key += events_text(area_.looks[observable.observe]) + '\0';
    } else if (observable.kind == Observable::Kind::value) {
      const SeenResult* const read = reading_of(observable);
      key += static_cast<char>(read != nullptr);
      if (read != nullptr) append(key, *read);
    } else {
      const Known what = known(observable.thread, observable.statement);
      key += static_cast<char>(what);
      if (what != Known::result) continue;
      const SeenResult& result = result_of(observable);
      if (observable.kind == Observable::Kind::result) append(key, result);
      else key += static_cast<char>(result.faults_known * 2 + result.faulted);
    }
  }
  return key;
}

std::string OutcomeReader::text(const SeenResult& result, Cell cell) const {
  switch (result.kind) {
    case SeenResult::Kind::errno_value: return errno_text(result.code);
    case SeenResult::Kind::signal: return signal_text(result.code);
    case SeenResult::Kind::word: {
      const CellContent content = decode_word(iteration(), result.word);
      if (content.kind == CellContent::Kind::zero) return text_zero;
      if (content.kind == CellContent::Kind::alien) return text_alien;
      // The check is right by accident if the word names a span that this program lacks.
      if (content.home >= layout_.spans.count()) return text_alien;
      return value_text(program_, cell, layout_.spans.first(content.home), content.value);
    }
    case SeenResult::Kind::letters: {
      std::string letters;
      for (int i = 0; i < result.code; ++i) letters += snapshot_letter(result.bytes[i]);
      return letters;
    }
    case SeenResult::Kind::exited: return text_exited;
    case SeenResult::Kind::killed: return text_killed;
  }
  return text_alien;
}

Outcome OutcomeReader::texts(const std::vector<Sameness>& identities) const {
  Outcome outcome;
  for (const Observable& observable : schema_) {
    if (observable.kind == Observable::Kind::identity) {
      const Sameness sameness = identities[observable.observe];
      outcome.emplace_back(sameness == Sameness::same        ? text_same
                           : sameness == Sameness::different ? text_different
                                                             : text_not_reached);
      continue;
    }
    if (observable.kind == Observable::Kind::location) {
      const Look& look = area_.looks[observable.observe];
      outcome.emplace_back(look.done.load() != 0 ? location_text(look.location) : text_not_reached);
      continue;
    }
    if (observable.kind == Observable::Kind::events) {
      outcome.push_back(events_text(area_.looks[observable.observe]));
      continue;
    }
    if (observable.kind == Observable::Kind::value) {
      const SeenResult* const read = reading_of(observable);
      outcome.push_back(read != nullptr ? text(*read, program_.observes[observable.observe].cell) : text_not_reached);
      continue;
    }
    const Known what = known(observable.thread, observable.statement);
    if (what != Known::result) {
      outcome.emplace_back(what == Known::unknown ? text_unknown : text_not_reached);
      continue;
    }
    const SeenResult& result = result_of(observable);
    if (observable.kind == Observable::Kind::faults) {
      // A failed request does not say whether the fault path ran.
      outcome.emplace_back(result.faults_known == 0 ? text_not_reached : result.faulted != 0 ? text_fault : text_hit);
      continue;
    }
    const Cell* const cell = cell_of_result(program_.threads[observable.thread].statements[observable.statement].operation);
    outcome.push_back(text(result, cell != nullptr ? *cell : Cell{}));
  }
  return outcome;
}

}  // namespace faultline
