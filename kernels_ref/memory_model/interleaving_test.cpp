// The memory model against the simplest one: threads take turns, and every access is done at once. If all accesses
// are seq-cst, both allow the same. With any other orders, the memory model allows all that taking turns gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "kernels_ref/memory_model/prediction.h"

namespace faultline::ref {
namespace {

constexpr int cells = 2;

// Threads of accesses to the cells of one buffer, of any order or of seq-cst only.
Program draw(std::mt19937& random, bool sequential) {
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  std::string text = "scenario t\ndevice d: fatal-faults\nprocess P\n  a: 2 pages svm-fine = 0\n";
  const int threads = 2 + below(2);
  for (int thread = 0; thread < threads; ++thread) {
    text += "thread P.t" + std::to_string(thread) + (below(2) ? " on d\n" : "\n");
    for (int i = 0, count = 1 + below(threads == 2 ? 3 : 2); i < count; ++i) {
      const auto order = [&](std::initializer_list<const char*> orders) {
        return std::string(" ") + (sequential ? "seq-cst" : orders.begin()[below(static_cast<int>(orders.size()))]) + "\n";
      };
      const std::string cell = " a[" + std::to_string(below(cells)) + "]", value = std::to_string(1 + below(2));
      const auto update = [&] { return order({"relaxed", "acquire", "release", "acq-rel", "seq-cst"}); };
      switch (below(5)) {
        case 0: text += "store" + cell + " " + value + order({"relaxed", "release", "seq-cst"}); break;
        case 1: text += "load" + cell + order({"relaxed", "acquire", "seq-cst"}); break;
        case 2: text += "add" + cell + " " + value + update(); break;
        case 3: text += "exchange" + cell + " " + value + update(); break;
        case 4: text += "compare-exchange" + cell + " " + std::to_string(below(3)) + " -> " + value + update(); break;
      }
    }
  }
  return parse(text + "observe P:a[0] P:a[1]\n", "t.scn");
}

struct Turns {
  const Program& program;
  std::set<Outcome> outcomes = {};
  int memory[cells] = {};
  std::vector<std::size_t> next = std::vector<std::size_t>(program.threads.size());
  std::vector<Outcome> results = std::vector<Outcome>(program.threads.size());

  void go() {
    bool over = true;
    for (std::size_t t = 0; t < next.size(); ++t) {
      if (next[t] == program.threads[t].statements.size()) continue;
      over = false;
      const int before[cells] = {memory[0], memory[1]};
      results[t].push_back(
          std::visit([this](const auto& o) { return access(o); }, program.threads[t].statements[next[t]++].operation));
      go();
      --next[t];
      results[t].pop_back();
      std::copy(before, before + cells, memory);
    }
    if (!over) return;
    Outcome outcome;
    for (const Outcome& each : results) outcome.insert(outcome.end(), each.begin(), each.end());
    for (const int value : memory) outcome.push_back(std::to_string(value));
    outcomes.insert(outcome);
  }

  std::string access(const op::Load& o) { return std::to_string(memory[o.cell.page]); }
  std::string access(const op::Store& o) { return memory[o.cell.page] = o.value, text_ok; }
  std::string access(const op::Update& o) {
    int& cell = memory[o.cell.page];
    const int found = cell;
    if (o.kind == op::Update::Kind::add) cell += o.value;
    else if (o.kind == op::Update::Kind::exchange || found == o.expected) cell = o.value;
    return std::to_string(found);
  }
  template <typename Other>
  std::string access(const Other&) {
    throw std::logic_error("no access");
  }
};

std::set<Outcome> by_turns(const Program& program) {
  Turns turns{program};
  turns.go();
  return turns.outcomes;
}

std::set<Outcome> by_model(const Program& program, const Rules& dropped = {}) {
  const Allowed allowed = predict_by_memory_model(program, dropped);
  EXPECT_EQ(allowed.undefined, "");
  return {allowed.outcomes.begin(), allowed.outcomes.end()};
}

TEST(TakingTurns, IsAllThatSeqCstAllows) {
  std::mt19937 random(1);
  for (int i = 0; i < 4000; ++i) {
    const Program program = draw(random, true);
    ASSERT_EQ(by_model(program), by_turns(program)) << print(program);
  }
}

TEST(TakingTurns, IsAllowedWithAnyOrder) {
  std::mt19937 random(2);
  int more = 0;
  for (int i = 0; i < 4000; ++i) {
    const Program program = draw(random, false);
    const std::set<Outcome> turns = by_turns(program), model = by_model(program);
    ASSERT_TRUE(std::ranges::all_of(turns, [&](const Outcome& each) { return model.contains(each); })) << print(program);
    more += model.size() > turns.size();
  }
  EXPECT_GT(more, 100);
}

// Without any one of the rules, some program does more than taking turns.
TEST(TakingTurns, NeedsEveryRule) {
  for (const Rule rule : {Rule::updates_are_atomic, Rule::memory_is_coherent, Rule::seq_cst_has_one_order}) {
    std::mt19937 random(1);
    Rules dropped;
    dropped.set(static_cast<std::size_t>(rule));
    bool noticed = false;
    for (int i = 0; i < 4000 && !noticed; ++i) {
      const Program program = draw(random, true);
      noticed = by_model(program, dropped) != by_turns(program);
    }
    EXPECT_TRUE(noticed) << name_of(rule);
  }
}

}  // namespace
}  // namespace faultline::ref
