// Known bugs of kernels and drivers that have nothing to do with a change under test.
//
// A scenario that runs into such a bug is skipped on the target, with the reason. No check is ever loosened for a bug. All
// bugs are in the table in known_bugs.cpp.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace faultline {

struct KnownBug {
  const char* name;       // as the reference reports it (Allowed::known_bugs)
  const char* target;     // the target that has it: "dmirror". Empty: mm has it, beside any target
  const char* what;       // what goes wrong, in one line
  const char* reason;     // why it goes wrong
  const char* kernels;    // the kernels that have it, for a person
  const char* fixed_in;   // releases without it: "6.1.192 6.15+". An entry covers later releases with the same first two
                          // numbers; with a plus, all later releases. Empty: none known
  const char* reference;  // where the bug is in the code
};

std::span<const KnownBug> known_bugs();

// Null if the name is not in the table.
const KnownBug* find_known_bug(std::string_view name);

// "known bug NAME: what goes wrong"
std::string known_bug_text(std::string_view name);

// The first three numbers of a release: {6, 1, 192} of "6.1.192-faultline #1 SMP". Those that are missing are 0.
std::array<int, 3> version_of(std::string_view kernel);

// Whether `kernel` is one of the releases, which are written as in KnownBug::fixed_in.
bool is_fixed(std::string_view releases, std::string_view kernel);

bool has_bug(const KnownBug& bug, std::string_view target, std::string_view kernel);

// Why a program that triggers these bugs cannot run on `target` ("dmirror") under `kernel` ("6.1.192"): the text of the first
// bug that this kernel has. Empty if the program can run.
std::string known_bug_in_the_way(std::span<const std::string> names, std::string_view target, std::string_view kernel);

}  // namespace faultline
