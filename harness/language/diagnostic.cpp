#include "harness/language/diagnostic.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace faultline {
namespace {

bool word_byte(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

bool continuation_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Replaces control characters: C0, DEL, and C1 (C2 80 to C2 9F in UTF-8), which some terminals obey too.
std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); i++) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7F) {
      result += '?';
    } else if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      result += '?';
      i++;
    } else {
      result += text[i];
    }
  }
  return result;
}

// The number of insertions, deletions, replacements and swaps of neighbours. Case is ignored, so that 'eperm' finds 'EPERM'.
int distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); i++) d[i][0] = static_cast<int>(i);
  for (std::size_t j = 0; j <= b.size(); j++) d[0][j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); i++) {
    for (std::size_t j = 1; j <= b.size(); j++) {
      const bool equal = lower(a[i - 1]) == lower(b[j - 1]);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (equal ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string render(const Diagnostic& diagnostic) {
  std::string result = diagnostic.file;
  if (diagnostic.place.line > 0) {
    result += ':' + std::to_string(diagnostic.place.line) + ':' + std::to_string(diagnostic.place.column);
  }
  result += ": " + diagnostic.message + '\n';
  if (diagnostic.place.line > 0) {
    const std::string_view line = diagnostic.source;
    const std::size_t start = std::min(line.find_first_not_of(" \t"), line.size());
    const std::size_t caret = std::clamp<std::size_t>(diagnostic.place.column - 1, start, line.size());
    const std::size_t end = std::min(line.size(), caret + diagnostic.length);
    result += "    " + printable(line.substr(start)) + "\n    ";
    for (const char c : printable(line.substr(start, caret - start))) {
      // Keep tabs, so that the caret is in the right column whatever the terminal's tab stops are.
      if (!continuation_byte(c)) result += c == '\t' ? '\t' : ' ';
    }
    result += '^';
    for (std::size_t i = caret + 1; i < end; i++) {
      if (!continuation_byte(line[i])) result += '~';
    }
    result += '\n';
  }
  if (!diagnostic.suggestion.empty()) result += "  " + diagnostic.suggestion + '\n';
  return result;
}

ParseError::ParseError(Diagnostic diagnostic) : std::runtime_error(render(diagnostic)), diagnostic_(std::move(diagnostic)) {}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t longest = 80;  // the table of distance() is quadratic
  if (word.size() > longest) return {};
  std::string best;
  int best_distance = 0;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > longest) continue;
    const int near = distance(word, candidate);
    const int enough = static_cast<int>(std::max(word.size(), candidate.size()) + 1) / 3;
    if (near <= enough && near < static_cast<int>(candidate.size()) && (best.empty() || near < best_distance)) {
      best = candidate;
      best_distance = near;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string best = nearest(word, candidates);
  return best.empty() ? best : "did you mean '" + best + "'?";
}

std::string did_you_mean_or_known(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t most = 8;  // a list longer than that helps nobody
  const std::string near = did_you_mean(word, candidates);
  if (!near.empty() || candidates.empty() || candidates.size() > most) return near;
  std::string list;
  for (const std::string& candidate : candidates) list += (list.empty() ? "" : ", ") + candidate;
  return "known here: " + list;
}

Source::Source(std::string_view text, std::string file) : file_(std::move(file)) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines_.push_back(line);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
}

std::string_view Source::line(int number) const {
  return number >= 1 && number <= lines() ? lines_[number - 1] : std::string_view{};
}

Diagnostic Source::at(Place place, int length, std::string message, std::string suggestion) const {
  return {file_, place, length, std::string(line(place.line)), std::move(message), std::move(suggestion)};
}

Diagnostic Source::about(Place place, std::string_view word, std::string message, std::string suggestion) const {
  const std::string_view text = line(place.line);
  for (std::size_t found = text.find(word, place.column - 1); found != text.npos; found = text.find(word, found + 1)) {
    const std::size_t end = found + word.size();
    if ((found > 0 && word_byte(text[found - 1])) || (end < text.size() && word_byte(text[end]))) continue;
    return at({place.line, static_cast<int>(found) + 1}, static_cast<int>(word.size()), std::move(message),
              std::move(suggestion));
  }
  return at(place, 1, std::move(message), std::move(suggestion));
}

void Source::fail(Place place, int length, std::string message, std::string suggestion) const {
  throw ParseError(at(place, length, std::move(message), std::move(suggestion)));
}

void Source::fail_at(Place place, std::string_view word, std::string message, std::string suggestion) const {
  throw ParseError(about(place, word, std::move(message), std::move(suggestion)));
}

}  // namespace faultline
