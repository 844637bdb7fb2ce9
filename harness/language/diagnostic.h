// Error messages about a scenario text, and the text that they quote.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/program.h"

namespace faultline {

struct Diagnostic {
  std::string file;
  Place place;         // line 0: about the file as a whole
  int length = 1;      // bytes of the line that the caret underlines
  std::string source;  // the line
  std::string message;
  std::string suggestion;  // one sentence ("did you mean 'store'?"), or empty
};

// "file:12:9: message", the line with a caret, the suggestion; ends with a newline. Control characters of the line
// are replaced, because scenario text is untrusted and the message goes to a terminal.
std::string render(const Diagnostic& diagnostic);

class ParseError : public std::runtime_error {
 public:
  explicit ParseError(Diagnostic diagnostic);
  const Diagnostic& diagnostic() const { return diagnostic_; }

 private:
  Diagnostic diagnostic_;
};

// The candidate that was most likely meant by `word`. Empty if none is near.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// "did you mean 'x'?" for the nearest candidate, or empty.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);
// The same. If there is no near candidate, "known here: a, b", because no candidate is near to a name of one letter.
std::string did_you_mean_or_known(std::string_view word, std::span<const std::string> candidates);

class Source {
 public:
  Source(std::string_view text, std::string file);

  int lines() const { return static_cast<int>(lines_.size()); }
  std::string_view line(int number) const;  // 1-based, without the newline

  Diagnostic at(Place place, int length, std::string message, std::string suggestion = {}) const;
  // Points at the first `word` at or after `place` on its line; at `place` if there is none.
  Diagnostic about(Place place, std::string_view word, std::string message, std::string suggestion = {}) const;

  [[noreturn]] void fail(Place place, int length, std::string message, std::string suggestion = {}) const;
  [[noreturn]] void fail_at(Place place, std::string_view word, std::string message, std::string suggestion = {}) const;

 private:
  std::string file_;
  std::vector<std::string_view> lines_;
};

}  // namespace faultline
