#include "stress/repro/pieces.h"

#include <cctype>
#include <sstream>
#include <string_view>
#include <vector>

namespace faultline::repro {
namespace {

constexpr const char* runtime =
#include "stress/repro/runtime.inc"
    ;
constexpr const char* files =
#include "stress/repro/files.inc"
    ;
constexpr const char* dmirror =
#include "stress/repro/dmirror.inc"
    ;
constexpr const char* pins =
#include "stress/repro/pins.inc"
    ;
constexpr const char* uffd =
#include "stress/repro/uffd.inc"
    ;

struct Piece {
  std::vector<std::string> names;
  std::string text;
};

constexpr std::string_view marker = "/// ";
// Instead of a name: functions begin, and main() and what belongs to it.
constexpr const char* functions_begin = "---";
constexpr const char* main_begins = "===";

std::vector<Piece> pieces_of(const std::string& text) {
  std::vector<Piece> pieces;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(marker)) {
      std::istringstream words(line.substr(marker.size()));
      pieces.emplace_back();
      for (std::string word; words >> word;) pieces.back().names.push_back(word);
    } else if (!pieces.empty()) {  // above the first piece there is a comment about the file
      pieces.back().text += line + "\n";
    }
  }
  return pieces;
}

bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The text without its comments and strings.
std::string code_of(const std::string& text) {
  std::string code;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "/*") == 0) i = text.find("*/", i) + 1;
    else if (text[i] == '"')
      for (++i; text[i] != '"'; ++i) i += text[i] == '\\' ? 1 : 0;
    else code += text[i];
  }
  return code;
}

bool uses(const std::string& code, const std::string& name) {
  for (std::size_t at = code.find(name); at != code.npos; at = code.find(name, at + 1))
    if ((at == 0 || !in_name(code[at - 1])) && (at + name.size() == code.size() || !in_name(code[at + name.size()]))) return true;
  return false;
}

// What is put together from its end, because a piece is there only if something below uses it.
struct Text {
  std::string text, code;

  void prepend(const std::string& more) {
    text = more + text;
    code = code_of(more) + code;
  }
  void prepend_used(const std::vector<Piece>& pieces, const char* between) {
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece)
      for (const std::string& name : piece->names)
        if (uses(code, name)) {
          prepend(piece->text + between);
          break;
        }
  }
};

}  // namespace

std::string assembled(const Parts& parts) {
  std::vector<Piece> constants, helpers;
  std::string end;
  std::vector<Piece>* to = &constants;
  for (const Piece& piece : pieces_of(runtime)) {
    if (piece.names.at(0) == main_begins) end = piece.text;
    else if (piece.names.at(0) == functions_begin) to = &helpers;
    else to->push_back(piece);
  }
  for (const char* source : {files, dmirror, pins, uffd})
    for (const Piece& piece : pieces_of(source)) helpers.push_back(piece);
  for (const auto& [place, text] : {std::pair("@checks@\n", parts.checks),
                                    {"@start@\n", parts.start},
                                    {"@wait@\n", parts.wait},
                                    {"@shows@", parts.shows},
                                    {"@print@\n", parts.print}})
    end.replace(end.find(place), std::string_view(place).size(), text);
  Text text;
  text.prepend(parts.functions + end);
  text.prepend_used(helpers, "\n");
  text.prepend(parts.declarations);
  text.prepend("\n");
  text.prepend_used(constants, "");
  return "#define _GNU_SOURCE\n" + text.text;
}

}  // namespace faultline::repro
