#include "harness/executor/value.h"

#include <gtest/gtest.h>

#include <set>

namespace faultline {
namespace {

TEST(CellWord, EverySpanAndValueComesBack) {
  std::set<std::uint64_t> words;
  for (int span = 0; span < limits::spans; ++span)
    for (int value = 0; value <= limits::value; ++value) {
      const std::uint64_t word = encode_word(77, span, value);
      EXPECT_NE(word, 0u);
      EXPECT_TRUE(words.insert(word).second);
      const CellContent content = decode_word(77, word);
      ASSERT_EQ(content.kind, CellContent::Kind::value);
      EXPECT_EQ(content.home, span);
      EXPECT_EQ(content.value, value);
    }
}

TEST(CellWord, ZeroIsZero) { EXPECT_EQ(decode_word(1, 0).kind, CellContent::Kind::zero); }

TEST(CellWord, AnotherIterationIsAlien) {
  const std::uint64_t word = encode_word(41, 12, 3);
  EXPECT_EQ(decode_word(42, word).kind, CellContent::Kind::alien);
  EXPECT_EQ(decode_word(41, word).kind, CellContent::Kind::value);
}

TEST(CellWord, OnlyTheLowBitsOfTheIterationCount) {
  const std::uint64_t word = encode_word((std::uint64_t{5} << 24) + 9, 0, 1);
  EXPECT_EQ(decode_word(9, word).kind, CellContent::Kind::value);
}

TEST(CellWord, OneWrongBitIsAlien) {
  const std::uint64_t word = encode_word(41, 12, 3);
  for (int bit = 0; bit < 64; ++bit)
    EXPECT_EQ(decode_word(41, word ^ std::uint64_t{1} << bit).kind, CellContent::Kind::alien) << bit;
}

TEST(CellWord, AnAdditionKeepsItRight) {
  for (int value = 0; value <= limits::value; ++value)
    for (int added = 0; added <= limits::added; ++added)
      ASSERT_EQ(encode_word(77, 5, value) + added_to_word(added), encode_word(77, 5, value + added));
  EXPECT_EQ(decode_word(77, encode_word(77, 5, 1) + 1).kind, CellContent::Kind::alien);
}

// A word made of one half of each of two words. The words differ in value, in home or in iteration.
TEST(CellWord, ATornOneIsAlien) {
  const std::uint64_t words[] = {encode_word(41, 12, 3), encode_word(41, 12, 4), encode_word(41, 13, 3), encode_word(42, 12, 3)};
  for (const std::uint64_t low : words)
    for (const std::uint64_t high : words)
      for (int bits = 8; bits < 64; bits += 8) {
        const std::uint64_t mask = (std::uint64_t{1} << bits) - 1, torn = (low & mask) | (high & ~mask);
        const bool whole = torn == words[0] || torn == words[1] || torn == words[2];
        EXPECT_EQ(decode_word(41, torn).kind == CellContent::Kind::value, whole) << std::hex << torn;
      }
}

TEST(CellWord, PoisonAndPointersAreAlien) {
  for (std::uint64_t word : {0xaaaaaaaaaaaaaaaau, 0x5a5a5a5a5a5a5a5au, 0xffff888012345678u, 0x7fffdeadbeefu, 1u + 0ul})
    EXPECT_EQ(decode_word(41, word).kind, CellContent::Kind::alien);
}

}  // namespace
}  // namespace faultline
