// The explorer recognises states by their bytes. That must change its cost and nothing else.
#include "kernels_ref/engine/explorer.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>
#include <thread>

#include "harness/language/parser.h"
#include "kernels_ref/scenario/program_subject.h"

namespace faultline::ref {
namespace {

struct Answer {
  std::set<std::vector<std::byte>> ends;  // bytes of each end state's World
  Exploration exploration;
};

Answer explore_all(const Program& program, const Limits& limits) {
  const ProgramSubject subject(make_shape(program, {}));
  Answer answer;
  answer.exploration = explore(subject, limits, [&](const void* world, bool) {
    const auto* from = static_cast<const std::byte*>(world);
    answer.ends.emplace(from, from + sizeof(World));
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

constexpr const char* crowd = R"(scenario crowd
  "fork and an unmap against two threads of a device, two pages"
device d: recoverable
process P
  a: 2 pages anon rw = 0
thread P.gpu on d
  store a[1] 1
  load a[0]
thread P.gpu2 on d
  store a[0] 2
  load a[1]
thread P.cpu
  fork C
  munmap a[0]
process C
  r0 = load a[1]
)";

TEST(Explorer, RecognisingStatesKeepsEveryEnd) {
  const Program program = parse(fork_trial, "trial");
  const Answer with = explore_all(program, {}), without = explore_all(program, {.recognise = false});
  EXPECT_TRUE(with.exploration.complete);
  EXPECT_TRUE(without.exploration.complete);
  EXPECT_EQ(with.ends, without.ends);
  EXPECT_LT(with.exploration.states * 10, without.exploration.states);
}

TEST(Explorer, GivesTheSameAnswerWhateverTheNumberOfWorkers) {
  const Program program = parse(crowd, "trial");
  const Answer one = explore_all(program, {.workers = 1}), three = explore_all(program, {.workers = 3});
  EXPECT_GT(one.exploration.states, 50'000u);  // enough that the others get work
  EXPECT_EQ(one.exploration.states, three.exploration.states);
  EXPECT_EQ(one.exploration.ends, three.exploration.ends);
  EXPECT_EQ(one.ends, three.ends);
}

// A state is the same in every worker: in a Machine that lies elsewhere, resumed by another thread.
TEST(Explorer, StatesDoNotDependOnWhoResumes) {
  const Program program = parse(crowd, "trial");
  const ProgramSubject subject(make_shape(program, {}));
  for (unsigned seed = 0; seed < 20; ++seed) {
    Machine here(subject);
    std::optional<Machine> there;
    std::thread([&] { there.emplace(subject); }).join();
    std::mt19937 random(seed);
    for (std::vector<Choice> choices;;) {
      ASSERT_EQ(here.hash(), there->hash()) << "seed " << seed;
      here.choices(choices);
      if (choices.empty()) break;
      const Choice choice = choices[random() % choices.size()];
      here.resume(choice);
      std::thread([&] { there->resume(choice); }).join();
    }
  }
}

TEST(Explorer, ABudgetMakesItIncomplete) {
  const Answer some = explore_all(parse(fork_trial, "trial"), {.states = 20});
  EXPECT_FALSE(some.exploration.complete);
}

}  // namespace
}  // namespace faultline::ref
