// Scenario text to Program. language.md describes the language; printer.h makes text again.
#pragma once

#include <string>
#include <string_view>

#include "harness/language/diagnostic.h"
#include "harness/program.h"

namespace faultline {

// `file` is what diagnostics call the text. Throws ParseError: for the first place that the grammar does not
// allow (grammar.h), else for the first declaration that is wrong, else for the first statement, else for the
// first observe or claim. The text is untrusted: any bytes give a Program within limits or a ParseError.
Program parse(std::string_view text, const std::string& file);

// Throws ParseError also when the file cannot be read, is not a regular file or is too large.
Program parse_file(const std::string& path);

}  // namespace faultline
