// Tests of the grammar itself. Tests of parsed texts are in parser_test.cpp and parser_errors_test.cpp.
#include "harness/language/grammar.h"

#include <gtest/gtest.h>

#include <tao/pegtl/contrib/analyze.hpp>

namespace faultline::grammar {
namespace {

TEST(Grammar, AlwaysAdvances) {
  EXPECT_EQ(analyze<legible_text>(), 0u);
  EXPECT_EQ(analyze<scenario_text>(), 0u);
}

TEST(Grammar, HasEveryOperationThatSuggestionsName) {
  for (const std::string_view word : grammar::verbs) {
    memory_input<> input(word, "");
    bool begun = false;
    try {
      begun = parse<operation>(input);
    } catch (const parse_error&) {
      begun = true;  // the word was accepted, and what must follow it is missing
    }
    EXPECT_TRUE(begun) << word;
  }
}

}  // namespace
}  // namespace faultline::grammar
