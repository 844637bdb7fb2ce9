// The scenario file that a finding becomes.
#pragma once

#include <string>

#include "stress/campaign/shrinking.h"

namespace faultline::app {

// "6 statements of 14, shows in 52 % of iterations"; or that it did not show again.
std::string shrunk_text(const Shrunk& shrunk);

// Writes the scenario, with what it shows as its documentation. Gives an empty text, or why that failed.
std::string write_shrunk(const Shrunk& shrunk, const std::string& file);

// Writes a text to a file, which need not exist. Gives an empty text, or why that failed.
std::string write_text(const std::string& text, const std::string& file);

}  // namespace faultline::app
