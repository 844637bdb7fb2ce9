#include "harness/app/options.h"

#include <charconv>
#include <cstdint>
#include <fstream>
#include <system_error>

namespace faultline::app {

// The message of CLI11's own check would print the full range of a double.
CLI::Validator above_zero(double largest) {
  return CLI::Validator(
      [largest](std::string& text) {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = error == std::errc() && end == text.data() + text.size() && value > 0 && value <= largest;
        return good ? std::string() : "not a number above 0: '" + text + "'";
      },
      "");
}

// CLI11 takes -1 for the largest number, and cuts long ones short.
CLI::Validator a_seed() {
  return CLI::Validator(
      [](std::string& text) {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = error == std::errc() && end == text.data() + text.size();
        return good ? std::string() : "not a number from 0 to 2^64 - 1: '" + text + "'";
      },
      "");
}

std::vector<std::string> own_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

}  // namespace faultline::app
