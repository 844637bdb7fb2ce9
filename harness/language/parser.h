// Scenario text to Program. language.md describes the language; printer.h makes text again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/language/diagnostic.h"
#include "harness/program.h"

namespace faultline {

// `file` is the name of the text in error messages. Throws ParseError for the first error: first in the grammar
// (grammar.h), then in declarations, then in statements, then in observes and claims. The text is untrusted: any bytes
// give a Program within limits or a ParseError.
Program parse(std::string_view text, const std::string& file);

// Also throws ParseError if the file cannot be read, is not a regular file or is too large.
Program parse_file(const std::string& path);

// The word that each operation begins with.
std::vector<std::string> operation_words();

}  // namespace faultline
