#include "stress/shrink/shrink.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/queries.h"
#include "stress/generate/draw.h"
#include "stress/generate/renumber.h"

namespace faultline {
namespace {

Program parsed(const std::string& text) { return parse(text, "test"); }

// Shrinks with a kernel that is a function.
template <typename Rate>
Shrinker shrunk(const Program& program, Rate rate, std::vector<std::string>* order = nullptr) {
  Shrinker shrinker(program, rate(program));
  while (const std::optional<Program> candidate = shrinker.next()) {
    EXPECT_EQ(normal(*candidate), *candidate);
    EXPECT_LT(weight(*candidate), weight(shrinker.program()));
    if (order) order->push_back(print(*candidate));
    shrinker.told(rate(*candidate));
  }
  return shrinker;
}

bool stores_on_device(const Program& program) {
  return any_operation(program, [](const Operation& o) {
    const auto* store = std::get_if<op::Store>(&o);
    return store && !store->via.cpu();
  });
}
bool forks(const Program& program) {
  return any_operation(program, [](const Operation& o) { return std::holds_alternative<op::Fork>(o); });
}

const char* const large =
    "scenario large\n  \"Much beside the point.\"\ndevice d: recoverable\ndevice e: recoverable\nprocess P\n"
    "  memfd f: 2 pages\n  a: 3 pages anon rw = 5\n  b: 2 pages shared f rw = 6\n  c: 1 page none\n"
    "thread P.gpu on d\n  load a[0]\n  barrier go\n  r0 = store a[1] 1\n  load b[0]\n"
    "thread P.cpu\n  barrier go\n  mprotect a[0..1] r\n  fork C\n  madvise a dontneed\n  load a[2] via e\n"
    "process C\n  load a[1]\n  fork D\n  wait D\nprocess D\n  store a[1] 7\n  exit\n"
    "observe P:a[0] P:a[1] C:a[1] same(P:a[1], C:a[1])\nnever P.gpu:r0 = EFAULT\n";

TEST(Shrink, OnlyWhatTheFindingNeedsIsLeft) {
  const Shrinker result = shrunk(parsed(large), [](const Program& p) { return stores_on_device(p) && forks(p) ? 0.5 : 0.0; });
  EXPECT_EQ(print(result.program()),
            "scenario large\n  \"Much beside the point.\"\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw = 5\n"
            "thread P.gpu on d\n  r0 = store a[0] 1\nthread P.cpu\n  fork C\nprocess C\n");
  EXPECT_EQ(result.rate(), 0.5);
}

TEST(Shrink, TheOrderIsTheSameEachTime) {
  std::vector<std::string> one, other;
  const auto rate = [](const Program& p) { return stores_on_device(p) ? 1.0 : 0.0; };
  shrunk(parsed(large), rate, &one);
  shrunk(parsed(large), rate, &other);
  EXPECT_EQ(one, other);
  EXPECT_GT(one.size(), 10u);
}

// What shows too rarely without a statement keeps it.
TEST(Shrink, WhatMakesItRareIsNotTaken) {
  const auto rate = [](const Program& p) {
    if (!stores_on_device(p)) return 0.0;
    return forks(p) ? 0.4 : 0.05;
  };
  EXPECT_TRUE(forks(shrunk(parsed(large), rate).program()));
  const auto kinder = [&](const Program& p) { return forks(p) ? rate(p) : 4 * rate(p); };
  EXPECT_FALSE(forks(shrunk(parsed(large), kinder).program()));
}

TEST(Shrink, WhatNeedsAllStays) {
  const Program small = parsed("scenario x\nprocess P\n  a: 1 page anon rw\nthread P.cpu\n  load a[0]\n");
  const Shrinker result = shrunk(small, [&](const Program& p) { return p == small ? 1.0 : 0.0; });
  EXPECT_EQ(result.program(), small);
}

TEST(Shrink, AChildTakesThePlaceOfItsRoot) {
  const Program program = parsed(
      "scenario x\ndevice d: recoverable\nprocess R\n  a: 1 page anon rw = 5\nthread R.main\n  fork P\n  kill P\n  wait P\n"
      "process P\n  load a[0]\nthread P.gpu on d\n  store a[0] 1\n");
  const Shrinker result = shrunk(program, [](const Program& p) { return stores_on_device(p) ? 1.0 : 0.0; });
  EXPECT_EQ(result.program().processes.size(), 1u);
  EXPECT_TRUE(stores_on_device(result.program()));
}

TEST(Shrink, RareFindingsNeedManyIterations) {
  const Program program = parsed(large);
  EXPECT_EQ(Shrinker(program, 1).iterations_wanted(), 20u);
  EXPECT_EQ(Shrinker(program, 0.01).iterations_wanted(), 2000u);
}

// Whatever the program and the answers: it ends, and all candidates are valid.
TEST(Shrink, RandomProgramsWithRandomAnswers) {
  Capabilities can{.device_class = DeviceClass::recoverable, .migrate = true, .snapshot = true, .pin = true, .exclusive = true};
  std::mt19937_64 random(5);
  for (int i = 0; i < 60; ++i) {
    const std::optional<Program> program = draw(random, can, "random");
    ASSERT_TRUE(program.has_value());
    const Shrinker result = shrunk(*program, [&](const Program& p) { return p == *program || random() % 3 == 0 ? 1.0 : 0.0; });
    EXPECT_LE(weight(result.program()), weight(*program));
  }
}

}  // namespace
}  // namespace faultline
