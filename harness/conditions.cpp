#include "harness/conditions.h"

#include <algorithm>

#include "harness/check.h"
#include "harness/names.h"
#include "harness/outcome.h"
#include "harness/texts.h"
#include "harness/words.h"

namespace faultline {
namespace {

struct Seen {
  int process = 0;
  Cell cell;
};

// "P:a[0]"
Seen read_seen(Cursor& cursor, const Program& program) {
  const int process = read_process(cursor, program);
  cursor.expect(":");
  const Token region_token = cursor.peek();
  const Cell cell = read_cell(cursor, program);
  const Region& region = program.regions[cell.region];
  if (root_of(program, process) != region.owner) {
    cursor.fail(region_token,
                "process '" + program.processes[process].name + "' does not have region '" + region.name + "'");
  }
  return {process, cell};
}

std::string text_of(const Program& program, const Seen& seen) {
  return program.processes[seen.process].name + ":" + cell_text(program, seen.cell);
}

class ClaimReader {
 public:
  ClaimReader(const Program& program, const Source& source, const Line& line)
      : program_(program), schema_(schema(program)), cursor_(source, line) {}

  Claim run() {
    Claim claim;
    const Token& word = cursor_.take();
    claim.kind = words::find(words::claims, word.text).value_or(Claim::Kind::never);
    claim.place = word.place;
    claim.condition = any(0);
    if (cursor_.peek().kind != Token::Kind::end) cursor_.fail_expected("'and', 'or' or the end of the line");
    return claim;
  }

 private:
  Condition any(int depth) { return chain(Condition::Kind::any, depth); }
  Condition all(int depth) { return chain(Condition::Kind::all, depth); }

  Condition chain(Condition::Kind kind, int depth) {
    const bool is_any = kind == Condition::Kind::any;
    const Place place = cursor_.peek().place;
    Condition first = is_any ? all(depth) : unary(depth);
    if (cursor_.peek().text != (is_any ? "or" : "and")) return first;
    Condition result;
    result.kind = kind;
    result.place = place;
    result.parts.push_back(std::move(first));
    while (cursor_.accept(is_any ? "or" : "and")) result.parts.push_back(is_any ? all(depth) : unary(depth));
    return result;
  }

  Condition unary(int depth) {
    const Token& token = cursor_.peek();
    const bool negation = token.text == "not";
    if (!negation && token.text != "(") return comparison();
    if (depth == limits::claim_depth) {
      cursor_.fail(token, "too deep a condition: the limit is " + std::to_string(limits::claim_depth) + " levels");
    }
    cursor_.take();
    if (negation) {
      Condition result;
      result.kind = Condition::Kind::negation;
      result.place = token.place;
      result.parts.push_back(unary(depth + 1));
      return result;
    }
    Condition result = any(depth + 1);
    cursor_.expect(")");
    return result;
  }

  Condition comparison() {
    Condition result;
    result.place = cursor_.peek().place;
    const Observable& observable = read_observable();
    result.key = observable.key;
    if (cursor_.accept("!=")) {
      result.kind = Condition::Kind::not_equal;
    } else {
      if (!cursor_.accept("=")) cursor_.fail_expected("'=' or '!='");
      result.kind = Condition::Kind::equal;
    }
    result.value = read_value(observable);
    return result;
  }

  const Observable* find(const std::string& key) const {
    for (const Observable& observable : schema_) {
      if (observable.key == key) return &observable;
    }
    return nullptr;
  }

  const Observable& read_observable() {
    const Token& first = cursor_.peek();
    if (first.text == "same") return read_same();
    cursor_.word("an observable (P.cpu:r0, P:a[0] or same(P:a[0], C:a[0]))");
    if (cursor_.peek().text != ":") cursor_.fail_expected("':' and what is observed there");
    if (cursor_.peek(2).text == "[") return read_observed_cell(first);
    cursor_.expect(":");
    const Token& name = cursor_.word("a register or a cell");
    return result_of(first, name);
  }

  const Observable& read_same() {
    const Token& first = cursor_.take();
    cursor_.expect("(");
    const Seen one = read_seen(cursor_, program_);
    cursor_.expect(",");
    const Seen other = read_seen(cursor_, program_);
    cursor_.expect(")");
    const std::string a = text_of(program_, one);
    const std::string b = text_of(program_, other);
    if (const Observable* found = find("same(" + a + "," + b + ")")) return *found;
    if (const Observable* found = find("same(" + b + "," + a + ")")) return *found;
    not_observed(first, "same(" + a + ", " + b + ")");
  }

  const Observable& read_observed_cell(const Token& process) {
    const int index = find_named(program_.processes, process.text);
    if (index < 0) {
      cursor_.fail(process, "unknown process " + quoted(process),
                   did_you_mean_or_known(process.text, names_of(program_.processes)));
    }
    cursor_.expect(":");
    const Cell cell = read_cell(cursor_, program_);
    const std::string key = text_of(program_, {index, cell});
    if (const Observable* found = find(key)) return *found;
    not_observed(process, key);
  }

  [[noreturn]] void not_observed(const Token& token, const std::string& key) const {
    cursor_.fail(token, key + " is not observed", "add 'observe " + key + "'");
  }

  // `owner` is a thread, or a process of which one thread has that register.
  const Observable& result_of(const Token& owner, const Token& name) const {
    if (const Observable* found = find(owner.text + ":" + name.text)) return *found;
    const int process = find_named(program_.processes, owner.text);
    if (process < 0 && find_named(program_.threads, owner.text) < 0) {
      std::vector<std::string> known = names_of(program_.threads);
      for (const std::string& more : names_of(program_.processes)) known.push_back(more);
      cursor_.fail(owner, "unknown thread or process " + quoted(owner), did_you_mean_or_known(owner.text, known));
    }
    const Observable* only = nullptr;
    for (const Observable& observable : schema_) {
      if (observable.thread < 0 || process < 0 || name.text.starts_with("#")) continue;
      const Thread& thread = program_.threads[observable.thread];
      if (thread.process != process || observable.key != thread.name + ":" + name.text) continue;
      if (only) {
        cursor_.fail(name, "'" + owner.text + ":" + name.text + "' can be " + only->key + " or " + observable.key);
      }
      only = &observable;
    }
    if (!only) unknown_result(owner, name, process);
    return *only;
  }

  [[noreturn]] void unknown_result(const Token& owner, const Token& name, int process) const {
    std::vector<std::string> results;
    for (const Observable& observable : schema_) {
      if (observable.thread < 0) continue;
      const Thread& thread = program_.threads[observable.thread];
      if (thread.name == owner.text || thread.process == process) {
        results.push_back(observable.key.substr(thread.name.size() + 1));
      }
    }
    cursor_.fail(name, "'" + owner.text + "' has no result '" + name.text + "'",
                 did_you_mean_or_known(name.text, results));
  }

  std::string read_value(const Observable& observable) {
    const Token token = cursor_.peek();
    std::string text;
    if (token.kind == Token::Kind::number) {
      text = std::to_string(cursor_.number("value", limits::value));
      if (cursor_.accept("@")) text += "@" + cell_text(program_, read_cell(cursor_, program_));
    } else if (token.kind == Token::Kind::string || token.kind == Token::Kind::word || token.text == "-") {
      text = cursor_.take().text;
    } else {
      cursor_.fail_expected("what it can be (1, zero, EFAULT, SIGSEGV, ok, ...)");
    }
    const Texts texts(program_, observable);
    const bool well_quoted = is_snapshot_text(text) == (token.kind == Token::Kind::string);
    if (!well_quoted || !texts.can_be(text)) refuse(cursor_.since(token), text, observable, texts);
    return text;
  }

  [[noreturn]] void refuse(const Token& token, const std::string& text, const Observable& observable,
                           const Texts& texts) const {
    if (token.kind == Token::Kind::word && is_snapshot_text(text) && texts.can_be(text)) {
      cursor_.fail(token, "the text of a snapshot is quoted", "write \"" + text + "\"");
    }
    const std::string suggestion = token.kind == Token::Kind::number ? "" : did_you_mean(text, texts.words());
    const std::string shown = token.kind == Token::Kind::string ? quoted(token) : "'" + text + "'";
    cursor_.fail(token, observable.key + " is never " + shown,
                 suggestion.empty() ? "it is one of: " + texts.described() : suggestion);
  }

  const Program& program_;
  const std::vector<Observable> schema_;
  Cursor cursor_;
};

}  // namespace

void read_observes(Program& program, const Source& source, const Line& line) {
  Cursor cursor(source, line);
  cursor.expect("observe");
  do {
    const Token& first = cursor.peek();
    Observe observe;
    observe.place = first.place;
    if (cursor.accept("same")) {
      observe.kind = Observe::Kind::same;
      cursor.expect("(");
      const Seen one = read_seen(cursor, program);
      cursor.expect(",");
      const Seen other = read_seen(cursor, program);
      cursor.expect(")");
      observe.process = one.process;
      observe.cell = one.cell;
      observe.process2 = other.process;
      observe.cell2 = other.cell;
    } else {
      const Seen seen = read_seen(cursor, program);
      observe.process = seen.process;
      observe.cell = seen.cell;
    }
    if (std::find(program.observes.begin(), program.observes.end(), observe) != program.observes.end()) {
      cursor.fail(first, "observed twice");
    }
    if (program.observes.size() == limits::observes) {
      cursor.fail(first, "too many observes: the limit is " + std::to_string(limits::observes));
    }
    program.observes.push_back(observe);
    cursor.accept(",");
  } while (cursor.peek().kind != Token::Kind::end);
}

Claim read_claim(const Program& program, const Source& source, const Line& line) {
  return ClaimReader(program, source, line).run();
}

}  // namespace faultline
