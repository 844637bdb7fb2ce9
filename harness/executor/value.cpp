#include "harness/executor/value.h"

namespace faultline {
namespace {

// From the top: mark (1, so that no word is 0), iteration (24), region (3), page (4), value (8), check (24).
constexpr int check_bits = 24;
constexpr int value_bits = 8;
constexpr int page_bits = 4;
constexpr int region_bits = 3;
constexpr int iteration_bits = 24;
constexpr std::uint64_t mark = std::uint64_t{1} << 63;
static_assert(1 + iteration_bits + region_bits + page_bits + value_bits + check_bits == 64);
static_assert(limits::value < (1 << value_bits));
static_assert(limits::pages_per_region <= (1 << page_bits));
static_assert(limits::regions <= (1 << region_bits));

constexpr std::uint64_t mask(int bits) { return (std::uint64_t{1} << bits) - 1; }

// splitmix64's finisher: every input bit reaches every check bit.
std::uint64_t check_of(std::uint64_t fields) {
  std::uint64_t x = fields + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return (x ^ (x >> 31)) & mask(check_bits);
}

}  // namespace

std::uint64_t encode_word(std::uint64_t iteration, Cell home, int value) {
  std::uint64_t fields = iteration & mask(iteration_bits);
  fields = fields << region_bits | (static_cast<std::uint64_t>(home.region) & mask(region_bits));
  fields = fields << page_bits | (static_cast<std::uint64_t>(home.page) & mask(page_bits));
  fields = fields << value_bits | (static_cast<std::uint64_t>(value) & mask(value_bits));
  return mark | fields << check_bits | check_of(fields);
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
  const int page = static_cast<int>(fields & mask(page_bits));
  fields >>= page_bits;
  const int region = static_cast<int>(fields & mask(region_bits));
  fields >>= region_bits;
  if (!sound || fields != (iteration & mask(iteration_bits))) return content;
  content.kind = CellContent::Kind::value;
  content.home = Cell{region, page};
  content.value = value;
  return content;
}

}  // namespace faultline
