// What commands that run something share of their options.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace faultline::app {

CLI::Validator above_zero(double largest);
CLI::Validator a_seed();

// The words with which this process was started.
std::vector<std::string> own_command_line();

}  // namespace faultline::app
