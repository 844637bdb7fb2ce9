#include "harness/language/conditions.h"

#include <algorithm>

#include "harness/language/check.h"
#include "harness/language/names.h"
#include "harness/language/printer.h"
#include "harness/language/texts.h"
#include "harness/outcome.h"
#include "harness/queries.h"

namespace faultline {
namespace {

class Reader : Names {
 public:
  using Names::Names;

  void read_observe(const Node& line) {
    for (const auto& node : line.children) {
      const Observe observe = observed(*node);
      std::vector<Observe>& all = program_.observes;
      if (std::find(all.begin(), all.end(), observe) != all.end()) fail_start(source_, *node, "observed twice");
      if (all.size() == limits::observes) too_many(*node, "observes", limits::observes);
      all.push_back(observe);
    }
  }

  void read_claims(const std::vector<const Node*>& lines) {
    schema_ = schema(program_);
    for (const Node* line : lines) {
      const Condition condition = this->condition(*line->children.back());
      program_.claims.push_back({closed<grammar::claim_kind>(*line), condition, place_of(*line)});
    }
  }

 private:
  // Reads "P:a[0]", "same(P:a[0], C:a[0])", "where(P:a[0])" or "events(P:a[0])".
  Observe observed(const Node& node) const {
    Observe result;
    result.place = place_of(node);
    if (node.is_type<grammar::seen>()) {
      read_seen(node, result.process, result.cell);
    } else {
      result.kind = node.is_type<grammar::same>()    ? Observe::Kind::same
                    : node.is_type<grammar::where>() ? Observe::Kind::where
                                                     : Observe::Kind::events;
      const std::string what = result.kind == Observe::Kind::same ? "page frames" : "locations and events";
      if (is_about_memory_model(program_))
        fail_start(source_, node, "in a scenario with buffers, their commands or atomic accesses, " + what + " mean nothing");
      read_seen(*node.children.front(), result.process, result.cell);
      if (result.kind == Observe::Kind::same) read_seen(*node.children.back(), result.process2, result.cell2);
    }
    return result;
  }

  void read_seen(const Node& seen, int& process, Cell& cell) const {
    process = this->process(get<grammar::process_name>(seen));
    const Node& node = get<grammar::cell>(seen);
    cell = this->cell(node);
    const Region& region = program_.regions[cell.region];
    if (root_of(program_, process) != region.owner) {
      fail_start(source_, node, "process '" + program_.processes[process].name + "' does not have region '" + region.name + "'");
    }
  }

  Condition condition(const Node& node) const {
    if (node.is_type<grammar::comparison>()) return comparison(node);
    Condition result;
    result.place = place_of(node);
    result.kind = node.is_type<grammar::any>()   ? Condition::Kind::any
                  : node.is_type<grammar::all>() ? Condition::Kind::all
                                                 : Condition::Kind::negation;
    for (const auto& part : node.children) result.parts.push_back(condition(*part));
    return result;
  }

  Condition comparison(const Node& node) const {
    const bool equal = text_of(get<grammar::relation>(node)) == "=";
    const Observable& observable = this->observable(node);
    return {equal ? Condition::Kind::equal : Condition::Kind::not_equal,
            observable.key,
            text(get<grammar::text>(node), observable),
            {},
            place_of(node)};
  }

  const Observable* find_key(const std::string& key) const {
    for (const Observable& observable : schema_) {
      if (observable.key == key) return &observable;
    }
    return nullptr;
  }

  const Observable& observable(const Node& comparison) const {
    if (const Node* owner = find<grammar::owner>(comparison)) return result(*owner, get<grammar::result>(comparison));
    const Node& node = *comparison.children.front();
    const Observe observe = observed(node);
    if (const Observable* found = find_key(observe_text(program_, observe))) return *found;
    if (observe.kind == Observe::Kind::same) {
      const Observe turned{observe.kind, observe.process2, observe.cell2, observe.process, observe.cell, {}};
      if (const Observable* found = find_key(observe_text(program_, turned))) return *found;
    }
    const std::string text = print(program_, observe);
    fail_start(source_, node, text + " is not observed", "add 'observe " + text + "'");
  }

  // `owner` is a thread, or a process in which exactly one thread has that register.
  const Observable& result(const Node& owner_node, const Node& name_node) const {
    const std::string owner(text_of(owner_node));
    const std::string name(text_of(name_node));
    if (const Observable* found = find_key(owner + ":" + name)) return *found;
    const int process = find_named(program_.processes, owner);
    if (process < 0 && find_named(program_.threads, owner) < 0) {
      std::vector<std::string> known = names_of(program_.threads);
      for (const std::string& more : names_of(program_.processes)) known.push_back(more);
      fail(owner_node, "unknown thread or process " + shown(owner), did_you_mean_or_known(owner, known));
    }
    const Observable* only = nullptr;
    for (const Observable& observable : schema_) {
      if (observable.thread < 0 || process < 0 || name.starts_with("#")) continue;
      const Thread& thread = program_.threads[observable.thread];
      if (thread.process != process || observable.key != thread.name + ":" + name) continue;
      if (only) fail(name_node, "'" + owner + ":" + name + "' can be " + only->key + " or " + observable.key);
      only = &observable;
    }
    if (!only) unknown_result(owner, name_node, process);
    return *only;
  }

  [[noreturn]] void unknown_result(const std::string& owner, const Node& name, int process) const {
    std::vector<std::string> results;
    for (const Observable& observable : schema_) {
      if (observable.thread < 0) continue;
      const Thread& thread = program_.threads[observable.thread];
      if (thread.name == owner || thread.process == process) {
        results.push_back(observable.key.substr(thread.name.size() + 1));
      }
    }
    fail(name, "'" + owner + "' has no result " + shown(text_of(name)), did_you_mean_or_known(text_of(name), results));
  }

  std::string text(const Node& node, const Observable& observable) const {
    const bool quoted = text_of(node).starts_with('"');
    std::string text = quoted ? unquoted(node) : std::string(text_of(node));
    if (const Node* number = find<grammar::value>(node)) {
      text = std::to_string(this->number(*number, "value", limits::value + limits::added));
      if (const Node* home = find<grammar::cell>(node)) text += "@" + cell_text(program_, cell(*home));
    }
    const Texts texts(program_, observable);
    if (is_quoted(observable, text) != quoted || !texts.can_be(text)) refuse(node, text, observable, texts);
    return text;
  }

  [[noreturn]] void refuse(const Node& node, const std::string& text, const Observable& observable, const Texts& texts) const {
    const bool quoted = text_of(node).starts_with('"');
    if (!quoted && is_quoted(observable, text) && texts.can_be(text)) {
      const bool events = observable.kind == Observable::Kind::events;
      fail(node, std::string("the text of ") + (events ? "events" : "a snapshot") + " is quoted", "write \"" + text + "\"");
    }
    const std::string suggestion = find<grammar::value>(node) ? "" : did_you_mean(text, texts.words());
    fail(node, observable.key + " is never " + (quoted ? shown(text_of(node)) : "'" + text + "'"),
         suggestion.empty() ? "it is one of: " + texts.described() : suggestion);
  }

  std::vector<Observable> schema_;
};

}  // namespace

void read_conditions(Program& program, const Source& source, const Declarations& declarations) {
  Reader reader(program, source);
  for (const Node* line : declarations.observes) reader.read_observe(*line);
  reader.read_claims(declarations.claims);
}

}  // namespace faultline
