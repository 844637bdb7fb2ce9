// The pieces of C that all reproducers are made of: runtime.c, files.c, dmirror.c and pins.c.
#pragma once

#include <string>

namespace faultline::repro {

// A C file: the headers and constants that are used, `declarations`, the functions that are used, `functions`, and main().
std::string assembled(const std::string& declarations, const std::string& functions);

}  // namespace faultline::repro
