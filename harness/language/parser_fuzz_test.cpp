// Damages good texts at random. For every text the parser must give a Program that prints and parses to itself, or a
// ParseError that renders. fuzz_parser.cpp is the guided fuzzer.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

std::vector<std::string> good_texts() {
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::directory_iterator("harness/language/testdata")) {
    std::ifstream stream(entry.path(), std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return texts;
}

class Damage {
 public:
  explicit Damage(std::mt19937& random) : random_(random) {}

  void apply(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t length = below(std::min<std::size_t>(12, text.size() - at) + 1);
    switch (below(6)) {
      case 0: text.erase(at, length); break;
      case 1: text.insert(at, 1, static_cast<char>(below(256))); break;
      case 2: text.insert(at, words_[below(words_.size())]); break;
      case 3: text.insert(below(text.size() + 1), text.substr(at, length)); break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      default: swap_lines(text); break;
    }
  }

 private:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

  void swap_lines(std::string& text) {
    const std::size_t first = text.find('\n', below(text.size() + 1));
    if (first == text.npos) return;
    const std::size_t second = text.find('\n', first + 1);
    if (second == text.npos) return;
    const std::string line = text.substr(first, second - first);
    text.erase(first, line.size());
    text.insert(below(text.size() + 1), line);
  }

  static constexpr std::array words_{" via ", " on ",    "[0..1]",   "999999999999", " -> ", "\"",  "#",   "(((((",
                                     " not ", "thread ", "process ", "\n",           "P",    ":",   " = ", "\t",
                                     "@",     "same(",   "where(",   "events(",      "..",   "\r\n"};
  std::mt19937& random_;
};

TEST(ParserFuzz, DamagedTextsGiveAProgramOrAMessage) {
  const std::vector<std::string> texts = good_texts();
  ASSERT_GE(texts.size(), 3u);
  constexpr int tries = 4000;
  int programs = 0;
  for (int seed = 0; seed < tries; seed++) {
    std::mt19937 random(seed);
    std::string text = texts[seed % texts.size()];
    Damage damage(random);
    for (int count = 1 + seed % 4; count > 0; count--) damage.apply(text);
    Program program;
    try {
      program = parse(text, "damaged");
    } catch (const ParseError& error) {
      ASSERT_FALSE(error.diagnostic().message.empty());
      ASSERT_GE(error.diagnostic().place.column, error.diagnostic().place.line > 0 ? 1 : 0);
      continue;
    }
    programs++;
    (void)schema(program);
    const std::string printed = print(program);
    ASSERT_EQ(parse(printed, "printed"), program) << "seed " << seed << ":\n" << text << "printed:\n" << printed;
  }
  EXPECT_GT(programs, tries / 40);  // with fewer good texts, little but the parser's first errors would be tested
}

}  // namespace
}  // namespace faultline
