// The explorer recognises states by their bytes: that must change what it costs and nothing else.
#include "kernels_ref/explorer.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"
#include "kernels_ref/shape.h"

namespace faultline {
namespace {

struct Answer {
  std::set<std::vector<std::byte>> ends;  // bytes of each end state's results and frames
  ref::Exploration exploration;
};

Answer explore_all(const Program& program, bool recognise) {
  const ref::Shape shape = ref::make_shape(program, {});
  Answer answer;
  answer.exploration = ref::explore(
      shape, [&](ref::World& w) { ref::start(shape, w); }, {.recognise = recognise}, [&](const ref::World& w) {
        const auto* from = reinterpret_cast<const std::byte*>(&w);
        answer.ends.emplace(from, from + sizeof w);
      });
  return answer;
}

constexpr const char* fork_trial = R"(scenario trial
  "fork against a device, two pages"
device d: recoverable
process P
  a: 2 pages anon rw = 0
thread P.gpu on d
  store a[1] 1
thread P.cpu
  fork C
process C
  r0 = load a[1]
)";

TEST(Explorer, RecognisingStatesKeepsEveryEnd) {
  const Program program = parse(fork_trial, "trial");
  const Answer with = explore_all(program, true), without = explore_all(program, false);
  EXPECT_TRUE(with.exploration.complete);
  EXPECT_TRUE(without.exploration.complete);
  EXPECT_EQ(with.ends, without.ends);
  EXPECT_LT(with.exploration.states * 10, without.exploration.states);
}

TEST(Explorer, GivesTheSameAnswerTwice) {
  const Program program = parse(fork_trial, "trial");
  const Answer first = explore_all(program, true), second = explore_all(program, true);
  EXPECT_EQ(first.exploration.states, second.exploration.states);
  EXPECT_EQ(first.ends, second.ends);
}

}  // namespace
}  // namespace faultline
