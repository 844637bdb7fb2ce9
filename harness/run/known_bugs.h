// Bugs that a kernel or a driver is known to have when nothing is wrong with the change under test.
//
// They keep a scenario away from a target, with the reason; they never loosen a check. All of them are
// in the one table of known_bugs.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace faultline {

struct KnownBug {
  const char* name;       // as the reference reports it (Allowed::known_bugs)
  const char* target;     // "dmirror": where it is
  const char* what;       // what goes wrong, in one line
  const char* reason;     // why it does
  const char* kernels;    // which ones have it, for a person
  const char* fixed_in;   // releases without it, "6.1.192 6.15+": those at or after an entry with the same first two
                          // numbers, and all from one with a plus on. Empty: none known
  const char* reference;  // the code
};

std::span<const KnownBug> known_bugs();

// Null when the name is not in the table.
const KnownBug* find_known_bug(std::string_view name);

// "known bug NAME: what it does"
std::string known_bug_text(std::string_view name);

bool has_bug(const KnownBug& bug, std::string_view target, std::string_view kernel);

// Why a program whose executions run into these bugs is not run on `target` ("dmirror") under `kernel`
// ("6.1.192"): the text of the first one that is there. Empty when it can run.
std::string known_bug_in_the_way(std::span<const std::string> names, std::string_view target, std::string_view kernel);

}  // namespace faultline
