// Scenario text as lines of tokens, and a cursor that reads one line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/diagnostic.h"

namespace faultline {

struct Token {
  enum class Kind {
    word,    // a name, dotted ("P.gpu", "r0.faults") or not; "#2" and "#2.faults" right after a colon
    number,  // decimal digits
    string,  // text without its quotes and escapes
    symbol,
    end,  // of the line
  };
  Kind kind = Kind::end;
  std::string text;
  Place place;
  int length = 1;
};

struct Line {
  std::vector<Token> tokens;  // the last one is `end`
};

// Lines that hold nothing are left out.
std::vector<Line> lex(const Source& source);

class Cursor {
 public:
  Cursor(const Source& source, const Line& line) : source_(source), line_(line) {}

  const Token& peek(int ahead = 0) const;
  const Token& take();
  bool accept(std::string_view word_or_symbol);
  void expect(std::string_view word_or_symbol);
  const Token& word(const char* what);  // `what` it names, for the message: "a region"
  // A number up to `limit`. `what` it is, for the message: "value".
  int number(const char* what, int limit);
  void end();  // nothing may follow
  // `first`, lengthened to the end of what was taken last.
  Token since(const Token& first) const;

  [[noreturn]] void fail(const Token& token, std::string message, std::string suggestion = {}) const;
  [[noreturn]] void fail_expected(const char* what) const;

 private:
  const Source& source_;
  const Line& line_;
  std::size_t next_ = 0;
};

// What a token is, for messages: "'stroe'", "the end of the line".
std::string quoted(const Token& token);

}  // namespace faultline
