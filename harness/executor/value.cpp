#include "harness/executor/value.h"

namespace faultline {
namespace {

// Bits from the top: mark (1, so that no word is 0), iteration (24), home (7), value (8), check (24).
constexpr int check_bits = 24;
constexpr int value_bits = 8;
constexpr int home_bits = 7;
constexpr int iteration_bits = 24;
constexpr std::uint64_t mark = std::uint64_t{1} << 63;
static_assert(1 + iteration_bits + home_bits + value_bits + check_bits == 64);
static_assert(limits::value + limits::added < (1 << value_bits));
static_assert(limits::spans <= (1 << home_bits));

constexpr std::uint64_t mask(int bits) { return (std::uint64_t{1} << bits) - 1; }

// The check is the sum of two parts, and the sum never overflows its bits. One part is linear in the value, so that an atomic
// addition keeps the check right. The other part is a hash of the other fields by splitmix64's finisher, so that every bit
// of them affects every check bit.
constexpr std::uint64_t check_of_one = 32771;
static_assert(check_of_one * mask(value_bits) < (std::uint64_t{1} << (check_bits - 1)));

std::uint64_t check_of(std::uint64_t fields) {
  std::uint64_t x = (fields >> value_bits) + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return ((x ^ (x >> 31)) & mask(check_bits - 1)) + (fields & mask(value_bits)) * check_of_one;
}

}  // namespace

std::uint64_t encode_word(std::uint64_t iteration, int home, int value) {
  std::uint64_t fields = iteration & mask(iteration_bits);
  fields = fields << home_bits | (static_cast<std::uint64_t>(home) & mask(home_bits));
  fields = fields << value_bits | (static_cast<std::uint64_t>(value) & mask(value_bits));
  return mark | fields << check_bits | check_of(fields);
}

std::uint64_t added_to_word(int value) {
  return static_cast<std::uint64_t>(value) << check_bits | static_cast<std::uint64_t>(value) * check_of_one;
}

CellContent decode_word(std::uint64_t iteration, std::uint64_t word) {
  CellContent content;
  if (word == 0) {
    content.kind = CellContent::Kind::zero;
    return content;
  }
  std::uint64_t fields = (word & ~mark) >> check_bits;
  const bool sound = (word & mark) != 0 && check_of(fields) == (word & mask(check_bits));
  const int value = static_cast<int>(fields & mask(value_bits));
  fields >>= value_bits;
  const int home = static_cast<int>(fields & mask(home_bits));
  fields >>= home_bits;
  if (!sound || fields != (iteration & mask(iteration_bits))) return content;
  content.kind = CellContent::Kind::value;
  content.home = home;
  content.value = value;
  return content;
}

}  // namespace faultline
