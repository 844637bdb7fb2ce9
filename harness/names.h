// How a line of a scenario names things: looked up in the Program that is being built, with a suggestion
// when there is no such thing. Used by the other parts of the parser.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/lexer.h"
#include "harness/program.h"

namespace faultline {

template <typename Named>
int find_named(const std::vector<Named>& list, std::string_view name) {
  for (std::size_t i = 0; i < list.size(); i++) {
    if (list[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

template <typename Named>
std::vector<std::string> names_of(const std::vector<Named>& list) {
  std::vector<std::string> result;
  for (const Named& named : list) result.push_back(named.name);
  return result;
}

// Reads the name of something new; fails when it is no name, a word of the language, or too long.
const Token& read_new_name(Cursor& cursor, const char* what);
// Whether a token's text, or a part of it, has the form of a name.
void check_form(const Cursor& cursor, const Token& token, std::string_view name);

int read_process(Cursor& cursor, const Program& program);

// "a[0]"
Cell read_cell(Cursor& cursor, const Program& program);
// "a", "a[0]" or "a[0..1]"
PageRange read_range(Cursor& cursor, const Program& program);

// "d", opened by `process` itself, or "P.d", opened by P.
Via device_via(const Cursor& cursor, const Token& token, const Program& program, int process);

Protection read_protection(Cursor& cursor);


}  // namespace faultline
