#include "kernels_ref/memory_model/prediction.h"

#include <set>

#include "harness/queries.h"

namespace faultline::ref {

namespace {

class Texts {
 public:
  Texts(const Events& events, const std::vector<Observable>& schema) : e_(events), schema_(schema) {}

  Outcome of(const std::vector<int>& reads_from) const {
    Outcome outcome;
    for (const Observable& o : schema_) {
      const int read = read_of(o);
      outcome.push_back(read < 0 ? text_ok : value(e_.all[read].cell, reads_from[read], reads_from));
    }
    return outcome;
  }

 private:
  // The event whose value is shown; -1 for an operation that only succeeds.
  int read_of(const Observable& o) const {
    for (int i = 0; i < static_cast<int>(e_.all.size()); ++i) {
      const MemoryEvent& e = e_.all[i];
      if (e.kind != MemoryEvent::Kind::read) continue;
      if (o.kind == Observable::Kind::value ? e.observe == o.observe
                                            : e.thread == o.thread && e.statement == o.statement && gives_value(e))
        return i;
    }
    return -1;
  }

  bool gives_value(const MemoryEvent& e) const {
    return cell_of_result(e_.program.threads[e.thread].statements[e.statement].operation) != nullptr;
  }

  std::string value(int cell, int write, const std::vector<int>& reads_from) const {
    const Written what = *written(e_, write, reads_from);
    return value_text(e_.program, e_.spans.first(cell), e_.spans.first(what.home), what.value);
  }

  const Events& e_;
  const std::vector<Observable>& schema_;
};

}  // namespace

std::optional<std::vector<Read>> find_execution(const Program& program, const Rules& dropped,
                                                const std::function<bool(const Outcome&)>& wanted) {
  const Events events(program);
  const std::vector<Observable> keys = schema(program);
  const Texts texts(events, keys);
  std::optional<std::vector<Read>> found;
  explore(events, dropped,
          [&](const std::vector<int>& reads_from) {
            if (found || !wanted(texts.of(reads_from))) return;
            found.emplace();
            for (int i = 0; i < static_cast<int>(events.all.size()); ++i)
              if (events.all[i].kind == MemoryEvent::Kind::read) found->push_back({events.name(i), events.name(reads_from[i])});
          },
          {});
  return found;
}

Allowed predict_by_memory_model(const Program& program, const Rules& dropped,
                                const std::function<bool(std::uint64_t)>& keep_going) {
  const Events events(program);
  Allowed allowed;
  allowed.schema = schema(program);
  const Texts texts(events, allowed.schema);
  std::set<Outcome> outcomes;
  const Executions found = explore(
      events, dropped, [&](const std::vector<int>& reads_from) { outcomes.insert(texts.of(reads_from)); }, keep_going);
  allowed.outcomes.assign(outcomes.begin(), outcomes.end());
  allowed.complete = found.complete;
  allowed.states = found.candidates;
  allowed.executions = found.consistent;
  allowed.undefined = found.undefined;
  allowed.at_once = at_once(events);
  return allowed;
}

}  // namespace faultline::ref
