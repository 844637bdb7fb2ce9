// The word that a store puts into a cell.
//
// Besides the small value of the scenario, it contains where and when it was stored, and a check over all of that. So the
// bench can recognise a lost page, a page at a wrong address, a page of an earlier iteration, and freed memory. None of them
// looks like a value of this iteration.
#pragma once

#include <cstdint>

#include "harness/program.h"

namespace faultline {

// What a raw word in a cell turns out to be.
struct CellContent {
  enum class Kind : std::uint8_t {
    zero,   // nothing was ever stored to the page
    value,  // stored in this iteration
    alien,  // stored in another iteration, torn, or not a word of the bench at all
  };
  Kind kind = Kind::alien;
  int home = 0;   // for `value`: the span (spans.h) of the cell that it was stored through
  int value = 0;  // for `value`
  friend bool operator==(const CellContent&, const CellContent&) = default;
};

// Never 0. Only the low 24 bits of `iteration` count.
std::uint64_t encode_word(std::uint64_t iteration, int home, int value);
// What an atomic addition of `value` must add to a word: the word of v becomes the word of v + value, with the same home.
// The sum must be at most 255.
std::uint64_t added_to_word(int value);
CellContent decode_word(std::uint64_t iteration, std::uint64_t word);

}  // namespace faultline
