// How processes answer for what is observed at the end: unasked where they can, and who waits for whom.
#include <gtest/gtest.h>

#include "harness/executor/area.h"
#include "harness/executor/layout.h"
#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

// C has no thread, D no value, and T is two forks below. All of them must be gone before the next iteration maps its pages.
constexpr const char* family = R"(scenario s
process P
  a: 2 pages anon rw = 5
thread P.cpu
  fork C
  store a[0] 6
  fork D
  fork T
process C
process D
  store a[1] 7
process T
  fork G
process G
  r0 = load a[0]
observe P:a[0] P:a[1] C:a[0] T:a[0] G:a[1]
)";

TEST(EndState, ProcessesAnswerUnasked) {
  constexpr std::uint64_t iterations = 300;
  EXPECT_TRUE(Layout(parse(family, "s.scn")).unasked);
  const Seen seen = run_text(family, iterations);
  expect_clean(seen, iterations);
  EXPECT_EQ(seen.only("P:a[0]"), "6");
  EXPECT_EQ(seen.only("P:a[1]"), "5");
  EXPECT_EQ(seen.only("C:a[0]"), "5");
  EXPECT_EQ(seen.only("T:a[0]"), "6");
  EXPECT_EQ(seen.only("G:a[1]"), "5");
}

TEST(EndState, ProcessesAreAskedWhereOneMayEndEarly) {
  const auto unasked = [](const std::string& text) { return Layout(parse(text, "s.scn")).unasked; };
  const std::string text = family;
  const std::size_t end = text.find("process C");
  EXPECT_FALSE(unasked(text.substr(0, end) + "  kill C\n" + text.substr(end)));
  EXPECT_FALSE(unasked(text.substr(0, text.find("observe")) + "observe same(P:a[0], C:a[0])\n"));
}

TEST(EndState, SpinsAsLongAsItHelps) {
  SharedArea area;
  Word& word = area->finished;
  EXPECT_TRUE(word.spin([] { return true; }));
  int turns = 0;
  EXPECT_TRUE(word.spin([&] { return ++turns > 3; })) << "the first one is as long as can help at all";
  EXPECT_GT(word.spin_for_ns.load(), 0u);
  for (int i = 0; i < 40; ++i) EXPECT_FALSE(word.spin([] { return false; }));
  EXPECT_EQ(word.spin_for_ns.load(), 0u);
}

}  // namespace
}  // namespace faultline
