#include "harness/language/diagnostic.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

Diagnostic diagnostic(const std::string& source, int column, int length) {
  return {"x.scn", {12, column}, length, source, "message", ""};
}

TEST(Diagnostic, ShowsTheLineWithACaretAndTheSuggestion) {
  const Diagnostic d{"stress/scenarios/x.scn", {12, 9}, 5, "        stroe a[0] 1", "unknown word 'stroe'",
                     "did you mean 'store'?"};
  EXPECT_EQ(render(d),
            "stress/scenarios/x.scn:12:9: unknown word 'stroe'\n"
            "    stroe a[0] 1\n"
            "    ^~~~~\n"
            "  did you mean 'store'?\n");
}

TEST(Diagnostic, KeepsTabsBeforeTheCaret) {
  EXPECT_EQ(render(diagnostic("\tload\ta[7]", 7, 4)), "x.scn:12:7: message\n    load\ta[7]\n        \t^~~~\n");
}

TEST(Diagnostic, CountsCharactersAndNotBytes) {
  EXPECT_EQ(render(diagnostic("\"\xC3\xA9\xC3\xA9\" x\xC3\xA9", 8, 3)),
            "x.scn:12:8: message\n    \"\xC3\xA9\xC3\xA9\" x\xC3\xA9\n         ^~\n");
}

TEST(Diagnostic, ReplacesWhatATerminalWouldObey) {
  EXPECT_EQ(render(diagnostic("a\x1B[31m\xC2\x9B b", 10, 1)), "x.scn:12:10: message\n    a?[31m? b\n            ^\n");
}

TEST(Diagnostic, PointsBehindTheLineWhereSomethingIsMissing) {
  EXPECT_EQ(render(diagnostic("  load", 7, 1)), "x.scn:12:7: message\n    load\n        ^\n");
}

TEST(Diagnostic, StaysInTheLineWhateverThePlace) {
  EXPECT_EQ(render(diagnostic("  load", 1, 100)), "x.scn:12:1: message\n    load\n    ^~~~\n");
  EXPECT_EQ(render(diagnostic("", 50, 3)), "x.scn:12:50: message\n    \n    ^\n");
}

TEST(Diagnostic, AWholeFileHasNoLine) {
  EXPECT_EQ(render({"x.scn", {}, 1, "", "not a regular file", ""}), "x.scn: not a regular file\n");
}

TEST(Nearest, FindsSlips) {
  const std::vector<std::string> words{"load", "store", "snapshot", "EPERM"};
  EXPECT_EQ(nearest("stroe", words), "store");
  EXPECT_EQ(nearest("snap-shot", words), "snapshot");
  EXPECT_EQ(nearest("eprem", words), "EPERM");
  EXPECT_EQ(nearest("xyz", words), "");
  EXPECT_EQ(nearest("", words), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), words), "");
}

TEST(Nearest, ListsWhatThereIsWhenNothingIsNear) {
  EXPECT_EQ(did_you_mean_or_known("b", std::vector<std::string>{"a", "c"}), "known here: a, c");
  EXPECT_EQ(did_you_mean_or_known("b", std::vector<std::string>{}), "");
  EXPECT_EQ(did_you_mean("b", std::vector<std::string>{"a"}), "");
}

TEST(Source, FindsWholeWords) {
  const Source source("load aa[0] via a\n", "x.scn");
  try {
    source.fail_at({1, 1}, "a", "message");
    FAIL();
  } catch (const ParseError& error) {
    EXPECT_EQ(error.diagnostic().place.column, 16);
  }
}

}  // namespace
}  // namespace faultline
