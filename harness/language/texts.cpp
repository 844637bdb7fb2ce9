#include "harness/language/texts.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>
#include <set>
#include <variant>

#include "harness/queries.h"
#include "harness/spans.h"

namespace faultline {
namespace {

constexpr int errnos = 133;  // the last errno of Linux that has a name

// The possible texts of a result that are neither values, errnos nor signals.
struct WordsOf {
  std::vector<std::string> operator()(const op::Load&) const { return {text_zero, text_alien}; }
  std::vector<std::string> operator()(const op::Update&) const { return {text_zero, text_alien}; }
  std::vector<std::string> operator()(const op::DirectWrite&) const { return {text_zero, text_alien}; }
  std::vector<std::string> operator()(const op::Wait&) const { return {text_exited, text_killed}; }
  std::vector<std::string> operator()(const op::Snapshot&) const { return {}; }
  template <typename Other>
  std::vector<std::string> operator()(const Other&) const {
    return {text_ok};
  }
};

// Everything that the `add`s of the program can add to a value: the sums of all their subsets.
std::set<int> sums_of_adds(const Program& program) {
  std::set<int> sums{0};
  for (const Thread& thread : program.threads) {
    for (const Statement& statement : thread.statements) {
      const auto* update = std::get_if<op::Update>(&statement.operation);
      if (!update || update->kind != op::Update::Kind::add) continue;
      for (const int sum : std::vector<int>(sums.begin(), sums.end())) sums.insert(sum + update->value);
    }
  }
  return sums;
}

}  // namespace

bool is_snapshot_text(const std::string& text) { return !text.empty() && text.find_first_not_of("!.rwzZdDx") == text.npos; }

bool is_events_text(const std::string& text) { return !text.empty() && text.find_first_not_of("DSFUER") == text.npos; }

bool is_quoted(const Observable& observable, const std::string& text) {
  return observable.kind == Observable::Kind::events ? is_events_text(text) : is_snapshot_text(text);
}

Texts::Texts(const Program& program, const Observable& observable) {
  switch (observable.kind) {
    case Observable::Kind::faults: words_.insert(words_.end(), {text_hit, text_fault}); break;
    case Observable::Kind::identity: words_.insert(words_.end(), {text_same, text_different}); break;
    case Observable::Kind::location: words_.insert(words_.end(), {text_none, text_system, text_device}); break;
    case Observable::Kind::events:
      words_.push_back(text_none);
      events_ = true;
      break;
    case Observable::Kind::value:
      words_.insert(words_.end(), {text_zero, text_alien});
      add_values(program, program.observes[observable.observe].cell);
      add_signals();
      break;
    case Observable::Kind::result: {
      const Operation& operation = program.threads[observable.thread].statements[observable.statement].operation;
      const std::vector<std::string> more = std::visit(WordsOf{}, operation);
      words_.insert(words_.end(), more.begin(), more.end());
      const auto* snapshot = std::get_if<op::Snapshot>(&operation);
      if (const Cell* cell = cell_of_result(operation)) add_values(program, *cell);
      if (snapshot) letters_ = snapshot->range.count;
      const std::optional<Via> via = via_of_access(operation);
      if (via) add_signals();
      if (!via || !via->cpu()) add_errnos();
      break;
    }
  }
  words_.insert(words_.end(), {text_unknown, text_not_reached});
  std::string list;
  for (const std::string& word : words_) {
    const bool open_set = word.starts_with("SIG") || (errnos_ && word.starts_with("E"));
    if (!open_set) list += (list.empty() ? "" : ", ") + word;
  }
  if (errnos_) list += ", the name of an errno";
  if (std::find(words_.begin(), words_.end(), "SIGSEGV") != words_.end()) list += ", the name of a signal";
  if (letters_ > 0) list += ", \"" + std::string(letters_, 'r') + "\" and the like";
  if (events_) list += ", \"DSFUER\" and the like";
  described_ = list;
}

bool Texts::can_be(const std::string& text) const {
  if (std::find(words_.begin(), words_.end(), text) != words_.end()) return true;
  if (events_ && is_events_text(text)) return true;
  if (letters_ > 0 && is_snapshot_text(text)) return text.size() == static_cast<std::size_t>(letters_);
  const bool nameless =
      errnos_ && text.size() > 1 && text.size() < 6 && text[0] == 'E' && text.find_first_not_of("0123456789", 1) == text.npos;
  return nameless && errno_text(std::stoi(text.substr(1))) == text;
}

void Texts::add_values(const Program& program, Cell cell) {
  const std::set<int> sums = sums_of_adds(program);
  const auto add = [&](Cell home, int value) {
    for (const int sum : sums) {
      const std::string text = value_text(program, cell, home, value + sum);
      if (std::find(words_.begin(), words_.end(), text) == words_.end()) words_.push_back(text);
    }
  };
  const Spans spans(program);
  for (int span = 0; span < spans.count(); span++) {
    const Cell home = spans.first(span);
    if (const auto initial = program.regions[home.region].initial) add(home, *initial);
  }
  for (const Thread& thread : program.threads) {
    for (const Statement& statement : thread.statements) {
      const auto* store = std::get_if<op::Store>(&statement.operation);
      if (store) add(store->cell, store->value);
      const auto* update = std::get_if<op::Update>(&statement.operation);
      if (update && update->kind != op::Update::Kind::add) add(update->cell, update->value);
      const auto* read = std::get_if<op::DirectRead>(&statement.operation);
      if (read) add(read->cell, read->value);
      const auto* copy = std::get_if<op::UffdCopy>(&statement.operation);
      if (copy) add(copy->cell, copy->value);
      const auto* fill = std::get_if<op::SvmFill>(&statement.operation);
      if (fill) add(fill->cell, fill->value);
    }
  }
}

void Texts::add_errnos() {
  errnos_ = true;
  for (int error = 1; error <= errnos; error++) {
    if (strerrorname_np(error)) words_.push_back(errno_text(error));
  }
}

void Texts::add_signals() {
  for (int signal = 1; signal < SIGRTMIN; signal++) {
    if (sigabbrev_np(signal)) words_.push_back(signal_text(signal));
  }
}

}  // namespace faultline
