#include "harness/run/known_bugs.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(KnownBugs, AKernelHasOneUntilItIsFixedThere) {
  KnownBug bug{.name = "b", .target = "dmirror", .fixed_in = "6.1.192 6.6.50 6.15+"};
  for (const char* kernel : {"5.10.1", "6.1.191", "6.6.49", "6.12.95", "6.14.9-rc1"})
    EXPECT_TRUE(has_bug(bug, "dmirror", kernel)) << kernel;
  for (const char* kernel : {"6.1.192", "6.1.200-custom", "6.6.50", "6.15.0", "6.18.44", "7.3.4"})
    EXPECT_FALSE(has_bug(bug, "dmirror", kernel)) << kernel;
  EXPECT_FALSE(has_bug(bug, "host", "6.1.191"));
  bug.fixed_in = "";
  EXPECT_TRUE(has_bug(bug, "dmirror", "99.1"));
}

TEST(KnownBugs, OneOfMmIsThereBesideAnyTarget) {
  const KnownBug bug{.name = "b", .target = "", .fixed_in = "6.1.0"};
  for (const char* target : {"host", "dmirror", "amdgpu:0000:03:00.0"}) {
    EXPECT_TRUE(has_bug(bug, target, "6.18.44"));
    EXPECT_FALSE(has_bug(bug, target, "6.1.192"));
  }
}

TEST(KnownBugs, TheFirstOneThatIsThereIsInTheWay) {
  const std::vector<std::string> names{"dead-mm-spin", "erased-private-read"};
  EXPECT_EQ(known_bug_in_the_way(names, "dmirror", "6.12.1"), known_bug_text("dead-mm-spin"));
  EXPECT_EQ(known_bug_in_the_way(names, "dmirror", "6.1.192"), known_bug_text("erased-private-read"));
  EXPECT_EQ(known_bug_in_the_way(names, "host", "6.12.1"), "");
}

// If the reference reports a name that is not in the table, the program is run nowhere.
TEST(KnownBugs, AnUnknownNameIsInTheWayEverywhere) {
  EXPECT_NE(known_bug_in_the_way(std::vector<std::string>{"no-such-bug"}, "host", "6.12.1"), "");
}

}  // namespace
}  // namespace faultline
