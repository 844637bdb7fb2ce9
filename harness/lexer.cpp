#include "harness/lexer.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace faultline {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool name_byte(char c) { return name_start(c) || digit(c); }

class Lexer {
 public:
  Lexer(const Source& source, int number) : source_(source), text_(source.line(number)), number_(number) {}

  Line run() {
    while (next_token()) {
    }
    // Right behind the last token, where what is missing belongs, not behind a comment.
    const bool empty = line_.tokens.empty();
    const int column = empty ? 1 : line_.tokens.back().place.column + line_.tokens.back().length;
    line_.tokens.push_back({Token::Kind::end, "", {number_, column}, 1});
    return std::move(line_);
  }

 private:
  char look(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void push(Token::Kind kind, std::string text, std::size_t start) {
    const Place place{number_, static_cast<int>(start) + 1};
    line_.tokens.push_back({kind, std::move(text), place, static_cast<int>(at_ - start)});
  }

  bool next_token() {
    const std::size_t before = at_;
    while (look() == ' ' || look() == '\t') at_++;
    const std::size_t start = at_;
    const bool after_colon = before == start && start > 0 && text_[start - 1] == ':';
    // "P:#2" names the second statement of a thread; any other '#' begins a comment.
    const bool comment = look() == '#' && !(after_colon && digit(look(1)));
    if (at_ == text_.size() || comment) return false;
    if (look() == '"') return string(start);
    if (digit(look())) {
      while (digit(look())) at_++;
      push(Token::Kind::number, std::string(text_.substr(start, at_ - start)), start);
      return true;
    }
    if (name_start(look()) || look() == '#') {
      do {
        at_++;
      } while (name_byte(look()) || (look() == '-' && name_byte(look(1))) || (look() == '.' && name_start(look(1))));
      push(Token::Kind::word, std::string(text_.substr(start, at_ - start)), start);
      return true;
    }
    return symbol(start);
  }

  bool symbol(std::size_t start) {
    for (const std::string_view symbol : {"!=", "->", "..", ":", "=", "[", "]", "(", ")", ",", "@", "-"}) {
      if (!text_.substr(at_).starts_with(symbol)) continue;
      at_ += symbol.size();
      push(Token::Kind::symbol, std::string(symbol), start);
      return true;
    }
    const auto byte = static_cast<unsigned char>(look());
    const bool shown = byte > 0x20 && byte < 0x7F;
    source_.fail({number_, static_cast<int>(start) + 1}, 1,
                 shown ? "unexpected character '" + std::string(1, look()) + "'"
                       : "unexpected character: outside comments and quotes a scenario is plain ASCII");
  }

  bool string(std::size_t start) {
    std::string value;
    for (at_++; look() != '"' || at_ >= text_.size(); at_++) {
      if (at_ >= text_.size()) {
        source_.fail({number_, static_cast<int>(start) + 1}, static_cast<int>(text_.size() - start),
                     "a quoted text ends on the line where it begins");
      }
      if (look() != '\\') {
        value += look();
        continue;
      }
      at_++;
      if (look() != '"' && look() != '\\' && look() != 'n') {
        source_.fail({number_, static_cast<int>(at_)}, 2, "only \\\", \\\\ and \\n are escapes");
      }
      value += look() == 'n' ? '\n' : look();
    }
    at_++;
    push(Token::Kind::string, std::move(value), start);
    return true;
  }

  const Source& source_;
  std::string_view text_;
  int number_;
  std::size_t at_ = 0;
  Line line_;
};

}  // namespace

std::vector<Line> lex(const Source& source) {
  std::vector<Line> lines;
  for (int number = 1; number <= source.lines(); number++) {
    Line line = Lexer(source, number).run();
    if (line.tokens.size() > 1) lines.push_back(std::move(line));
  }
  return lines;
}

std::string quoted(const Token& token) {
  switch (token.kind) {
    case Token::Kind::end:
      return "the end of the line";
    case Token::Kind::string: {
      constexpr std::size_t longest_string = 20;
      const bool shown = token.text.size() <= longest_string && token.text.find('\n') == token.text.npos;
      return shown ? '"' + token.text + '"' : "a quoted text";
    }
    case Token::Kind::word:
    case Token::Kind::number:
    case Token::Kind::symbol:
      break;
  }
  constexpr std::size_t longest = 60;
  return token.text.size() <= longest ? "'" + token.text + "'" : "'" + token.text.substr(0, longest) + "...'";
}

const Token& Cursor::peek(int ahead) const {
  const std::size_t last = line_.tokens.size() - 1;
  return line_.tokens[std::min(next_ + ahead, last)];
}

const Token& Cursor::take() {
  const Token& token = peek();
  if (token.kind != Token::Kind::end) next_++;
  return token;
}

bool Cursor::accept(std::string_view word_or_symbol) {
  const Token& token = peek();
  const bool can = token.kind == Token::Kind::word || token.kind == Token::Kind::symbol;
  if (!can || token.text != word_or_symbol) return false;
  next_++;
  return true;
}

void Cursor::expect(std::string_view word_or_symbol) {
  if (!accept(word_or_symbol)) fail_expected(("'" + std::string(word_or_symbol) + "'").c_str());
}

const Token& Cursor::word(const char* what) {
  if (peek().kind != Token::Kind::word) fail_expected(what);
  return take();
}

int Cursor::number(const char* what, int limit) {
  const Token& token = peek();
  if (token.kind != Token::Kind::number) fail_expected(("a number (" + std::string(what) + ")").c_str());
  int value = 0;
  const char* end = token.text.data() + token.text.size();
  const std::from_chars_result read = std::from_chars(token.text.data(), end, value);
  if (read.ec != std::errc{} || value > limit) {
    fail(token, std::string(what) + " " + quoted(token) + " is over the limit of " + std::to_string(limit));
  }
  next_++;
  return value;
}

void Cursor::end() {
  if (peek().kind != Token::Kind::end) fail(peek(), "unexpected " + quoted(peek()) + " at the end of the line");
}

Token Cursor::since(const Token& first) const {
  Token result = first;
  if (next_ == 0) return result;
  const Token& last = line_.tokens[next_ - 1];
  result.length = std::max(first.length, last.place.column + last.length - first.place.column);
  return result;
}

void Cursor::fail(const Token& token, std::string message, std::string suggestion) const {
  source_.fail(token.place, token.length, std::move(message), std::move(suggestion));
}

void Cursor::fail_expected(const char* what) const {
  fail(peek(), "expected " + std::string(what) + ", found " + quoted(peek()));
}

}  // namespace faultline
