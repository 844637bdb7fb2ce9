// The word that a store puts into a cell.
//
// It carries, beside the small value of the scenario, where and when it was stored, and a check over all
// of it. So a lost page, a page that turned up at another address, a page of an earlier iteration and
// freed memory all look different, and none of them looks like a value of this iteration.
#pragma once

#include <cstdint>

#include "harness/program.h"

namespace faultline {

// What a raw word in a cell turns out to be.
struct CellContent {
  enum class Kind : std::uint8_t {
    zero,   // nothing was ever stored to the page
    value,  // stored in this iteration
    alien,  // of another iteration, torn, or not ours at all
  };
  Kind kind = Kind::alien;
  int home = 0;   // the span (spans.h) of the cell it was stored through, for `value`
  int value = 0;  // for `value`
  friend bool operator==(const CellContent&, const CellContent&) = default;
};

// Never 0. Only the low 24 bits of `iteration` count.
std::uint64_t encode_word(std::uint64_t iteration, int home, int value);
// What an atomic addition of `value` adds to a word: that of v becomes that of v + value, with its home, as far
// as the sum is at most 255.
std::uint64_t added_to_word(int value);
CellContent decode_word(std::uint64_t iteration, std::uint64_t word);

}  // namespace faultline
