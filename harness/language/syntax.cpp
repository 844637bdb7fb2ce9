#include "harness/language/syntax.h"

#include <algorithm>
#include <tao/pegtl/contrib/limit_depth.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "harness/language/parser.h"
#include "harness/language/words.h"

namespace faultline {
namespace {

namespace pegtl = tao::pegtl;
using Input = pegtl::memory_input<pegtl::tracking_mode::eager, pegtl::eol::lf_crlf, std::string_view>;

Place place_at(const pegtl::position& at) { return {static_cast<int>(at.line), static_cast<int>(at.column)}; }

template <typename Rule, typename List>
inline constexpr bool is_in = false;
template <typename Rule, typename... Rules>
inline constexpr bool is_in<Rule, pegtl::type_list<Rules...>> = (std::is_same_v<Rule, Rules> || ...);

template <typename Token, typename Rule>
inline constexpr bool is_named = std::is_base_of_v<Token, Rule> && !std::is_same_v<Token, Rule>;

using Constructs = pegtl::type_list<grammar::cell, grammar::source, grammar::range, grammar::target, grammar::seen, grammar::same,
                                    grammar::where, grammar::events, grammar::protection, grammar::unit, grammar::result,
                                    grammar::relation, grammar::text, grammar::comparison, grammar::negation>;

// Which rules become nodes of the tree: lines, operations, and tokens with a rule of their own.
template <typename Rule>
struct InTree : std::bool_constant<is_in<Rule, grammar::lines> || is_in<Rule, grammar::operation::subs_t> ||
                                   is_in<Rule, Constructs> || is_named<grammar::word, Rule> || is_named<grammar::number, Rule>> {
};
template <>
struct InTree<grammar::all> : pegtl::parse_tree::fold_one {};
template <>
struct InTree<grammar::any> : pegtl::parse_tree::fold_one {};

template <typename Rule>
struct Action : pegtl::nothing<Rule> {};

// A rule with a table of words matches only words in the table.
template <typename Rule>
requires requires { Rule::table; }
struct Action<Rule> {
  template <typename Matched>
  static bool apply(const Matched& matched, const Source&) {
    return words::find(Rule::table, matched.string_view()).has_value();
  }
};

template <>
struct Action<grammar::level> : pegtl::limit_depth<limits::claim_depth> {};

// The token that was found where another was expected.
struct Found {
  Place place;
  std::string_view text;  // empty: the end of the line
  bool word = false;
};

Found look(std::string_view rest, Place place, const Source& source);

struct Complaint {
  std::string message;
  std::string suggestion = {};
};

template <typename List>
std::string joined(const List& words) {
  std::string result;
  for (std::size_t i = 0; i < words.size(); i++) {
    result += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  }
  return result;
}

[[noreturn]] void fail(const Source& source, const Found& found, Complaint complaint) {
  const int length = std::max(1, static_cast<int>(found.text.size()));
  source.fail(found.place, length, std::move(complaint.message), std::move(complaint.suggestion));
}

Complaint expected(const std::string& what, const Found& found) { return {"expected " + what + ", found " + shown(found.text)}; }

// The error message if `Rule` does not match.
template <typename Rule>
Complaint complaint(Rule, const Found& found) {
  if constexpr (requires { Rule::unknown; }) {
    const std::vector<std::string> known = words::all(Rule::table);
    if (found.word) {
      return {std::string("unknown ") + Rule::unknown + " " + shown(found.text) + ": " + joined(known),
              did_you_mean(found.text, known)};
    }
  }
  return expected(Rule::expected, found);
}

Complaint complaint(grammar::mapped_backing, const Found& found) {
  if (!found.word) return expected(grammar::mapped_backing::expected, found);
  return {"mmap maps 'anon', 'shared' or 'private' pages, not " + shown(found.text),
          did_you_mean(found.text, words::all(words::mapped_backings))};
}

Complaint complaint(grammar::scenario, const Found&) { return {"a scenario begins with 'scenario' and its name"}; }

Complaint complaint(grammar::operation, const Found& found) {
  if (!found.word) return expected("an operation", found);
  return {"unknown word " + shown(found.text), did_you_mean(found.text, operation_words())};
}

Complaint complaint(grammar::line, const Found& found) {
  if (found.text.starts_with('"')) return {"a quoted text describes the scenario and stands below its first line"};
  if (!found.word) return expected("a declaration or a statement", found);
  std::vector<std::string> known = operation_words();
  known.insert(known.end(), words::declarations.begin(), words::declarations.end());
  return {"unknown word " + shown(found.text), did_you_mean(found.text, known)};
}

Complaint complaint(grammar::line_end, const Found& found) {
  return {"unexpected " + shown(found.text) + " at the end of the line"};
}

Complaint complaint(grammar::end_of_none, const Found&) {
  return {"nothing is mapped in a region of 'none', so that it has no protection and no value"};
}

template <typename Rule>
struct Control : pegtl::normal<Rule> {
  static constexpr bool enable = InTree<Rule>::value;

  [[noreturn]] static void raise(const Input& input, const Source& source) {
    const Place place = place_at(input.position());
    if constexpr (std::is_same_v<Rule, grammar::legible>) {
      const auto byte = input.peek_uint8();
      source.fail(place, 1, byte == 0 ? "a NUL byte: this is no text" : byte < 0x80 ? "a control character" : "not UTF-8");
    } else if constexpr (std::is_same_v<Rule, grammar::unclosed>) {
      source.fail(place, static_cast<int>(source.line(place.line).size()) - place.column + 1,
                  "a quoted text ends on the line where it begins");
    } else if constexpr (std::is_same_v<Rule, grammar::escape>) {
      source.fail(place, 2, "only \\\", \\\\ and \\n are escapes");
    } else {
      const Found found = look({input.current(), input.size()}, place, source);
      if (std::is_same_v<Rule, grammar::scenario> && found.text.empty()) {
        source.fail({}, 1, "no scenario: the text is empty");
      }
      fail(source, found, complaint(Rule{}, found));
    }
  }
};

// The first token of `rest`. `rest` begins at `place`.
Found look(std::string_view rest, Place place, const Source& source) {
  Input input(rest.data(), rest.data() + rest.size(), "", 0, place.line, place.column);
  if (pegtl::parse<grammar::line_end>(input)) {
    // Point directly after the last token, not after the blanks that follow it.
    const std::string_view before = source.line(place.line).substr(0, place.column - 1);
    return {{place.line, static_cast<int>(before.find_last_not_of(" \t") + 2)}, {}};
  }
  const bool word = pegtl::parse<pegtl::at<grammar::word>>(input);
  if (pegtl::parse<grammar::any_token, pegtl::nothing, Control>(input, source)) {
    return {place, rest.substr(0, input.current() - rest.data()), word};
  }
  const bool printable = rest.front() > ' ' && rest.front() <= '~';
  source.fail(place, 1,
              printable ? "unexpected character '" + std::string(1, rest.front()) + "'"
                        : "unexpected character: outside comments and quotes a scenario is plain ASCII");
}

}  // namespace

std::unique_ptr<Node> read_syntax(std::string_view text, const Source& source) {
  Input bytes(text, "");
  pegtl::parse<grammar::legible_text, pegtl::nothing, Control>(bytes, source);
  Input input(text, "");
  try {
    return pegtl::parse_tree::parse<grammar::scenario_text, InTree, Action, Control>(input, source);
  } catch (const pegtl::parse_error& error) {
    // PEGTL itself throws this error, when grammar::level exceeds its limit.
    const pegtl::position& at = error.positions().front();
    const Found found = look(text.substr(at.byte), place_at(at), source);
    fail(source, found, {"too deep a condition: the limit is " + std::to_string(limits::claim_depth) + " levels"});
  }
}

Place place_of(const Node& node) { return place_at(node.begin()); }

std::string_view text_of(const Node& node) {
  const std::string_view text = node.string_view();
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

std::string unquoted(const Node& node) {
  std::string result;
  const std::string_view text = text_of(node);
  for (std::size_t i = 1; i + 1 < text.size(); i++) {
    const bool escaped = text[i] == '\\';
    if (escaped) i++;
    result += escaped && text[i] == 'n' ? '\n' : text[i];
  }
  return result;
}

void fail(const Source& source, const Node& node, std::string message, std::string suggestion) {
  source.fail(place_of(node), static_cast<int>(text_of(node).size()), std::move(message), std::move(suggestion));
}

void fail_start(const Source& source, const Node& node, std::string message, std::string suggestion) {
  Input input(node.string_view(), "");
  pegtl::parse<grammar::word>(input);
  source.fail(place_of(node), static_cast<int>(input.byte()), std::move(message), std::move(suggestion));
}

std::string shown(std::string_view token) {
  constexpr std::size_t longest = 60;
  constexpr std::size_t longest_quoted = 20;
  if (token.empty()) return "the end of the line";
  if (token.starts_with('"')) return token.size() <= longest_quoted + 2 ? std::string(token) : "a quoted text";
  return "'" + std::string(token.substr(0, longest)) + (token.size() <= longest ? "'" : "...'");
}

}  // namespace faultline
