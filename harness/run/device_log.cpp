#include "harness/run/device_log.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <optional>
#include <string_view>

namespace faultline {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr std::streamoff most_bytes = 4 << 20;
constexpr std::size_t looked_back = 4;  // a repeated fault is two or three lines

struct Line {
  std::string text;
  std::size_t more = 0;  // lines like it that followed
};

// What makes a line like another one: all but its time, and where it went in the interrupt ring.
std::string_view likeness(std::string_view text) {
  text.remove_prefix(std::min(text.find(' '), text.size()));
  return text.substr(0, text.find(" wptr "));
}

// Microseconds of the steady clock at which the log's times begin.
std::optional<double> beginning(std::istream& file) {
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const std::size_t at = line.find(" clock ");
  if (at == std::string::npos) return std::nullopt;
  return std::strtod(line.c_str() + at + 7, nullptr);
}

std::vector<std::string> lines_until(const std::string& name, steady_clock::time_point until, std::size_t limit) {
  std::ifstream file(name, std::ios::binary);
  const std::optional<double> zero = beginning(file);
  if (!zero) return {};
  const double last = duration<double, std::micro>(until.time_since_epoch()).count() - *zero;
  const std::streamoff after_first = file.tellg();
  file.seekg(0, std::ios::end);
  const std::streamoff from = std::max<std::streamoff>(after_first, static_cast<std::streamoff>(file.tellg()) - most_bytes);
  file.seekg(from);
  std::string text;
  if (from > after_first) std::getline(file, text);  // the rest of a line
  std::deque<Line> kept;
  while (std::getline(file, text)) {
    if (file.eof()) break;  // a line that is still being written
    if (std::strtod(text.c_str(), nullptr) > last) break;
    std::erase_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    const auto start = kept.size() > looked_back ? kept.end() - looked_back : kept.begin();
    const auto same = std::find_if(start, kept.end(), [&](const Line& each) { return likeness(each.text) == likeness(text); });
    if (same != kept.end()) same->more++;
    else kept.push_back({text});
    if (kept.size() > limit) kept.pop_front();
  }
  std::vector<std::string> lines;
  for (const Line& each : kept)
    lines.push_back(each.text + (each.more ? "  (and " + std::to_string(each.more) + " more like it)" : ""));
  return lines;
}

}  // namespace

std::vector<std::string> device_log(const std::string& file, steady_clock::time_point until, std::size_t limit) {
  const std::vector<std::string> lines = lines_until(file, until, limit);
  return lines.empty() ? lines_until(file + ".1", until, limit) : lines;
}

steady_clock::time_point about_end(steady_clock::time_point came, std::chrono::nanoseconds took, std::size_t iteration,
                                   std::size_t iterations) {
  if (iteration + 1 >= iterations) return came;
  return came - took / static_cast<std::int64_t>(iterations) * static_cast<std::int64_t>(iterations - iteration - 1);
}

}  // namespace faultline
