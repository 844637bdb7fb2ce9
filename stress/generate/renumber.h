// Programs with other numbers: the way to leave a part of a Program out, or to put its parts in another order.
#pragma once

#include <optional>
#include <vector>

#include "harness/program.h"

namespace faultline {

inline constexpr int left_out = -1;

// For each part of a Program, by its old index: its new index, or left_out. The new indices of a kind are 0 to n - 1, each once.
struct Numbers {
  std::vector<int> devices, files, regions, processes, threads, barriers;
};

// Everything stays as it is.
Numbers same_numbers(const Program& program);

// Makes `numbers` leave this one out.
void leave_out(std::vector<int>& numbers, int index);

// What names a part that is left out is left out too: regions, threads, statements, and observes. Claims name their
// observables by text, so they are left out always. The result is as well-formed as what was given (see normal()).
Program renumbered(const Program& program, const Numbers& numbers);

// The Program as the parser makes it from its text. Nothing if the parser refuses the text: then it is no valid scenario.
std::optional<Program> normal(const Program& program);

}  // namespace faultline
