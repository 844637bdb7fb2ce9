// Turns scenario text into a tree of the grammar's rules, and gives the parser's passes access to the tree.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tao/pegtl/contrib/parse_tree.hpp>

#include "harness/language/diagnostic.h"
#include "harness/language/grammar.h"

namespace faultline {

// A construct or a token; its rule says which. Points into the text.
using Node = tao::pegtl::parse_tree::node;

// The lines (grammar::lines) are the children of the result. Throws ParseError for the first place where the text does not
// match the grammar.
std::unique_ptr<Node> read_syntax(std::string_view text, const Source& source);

// The first child that matched `Rule`, or null.
template <typename Rule>
const Node* find(const Node& node) {
  for (const auto& child : node.children) {
    if (child->is_type<Rule>()) return child.get();
  }
  return nullptr;
}

template <typename Rule>
const Node& get(const Node& node) {
  return *find<Rule>(node);
}

// Calls `visitor` with the one of `Rules` that the node matched.
template <typename... Rules, typename Visitor>
void visit(tao::pegtl::type_list<Rules...>, const Node& node, Visitor visitor) {
  (void)((node.is_type<Rules>() && (visitor(Rules{}), true)) || ...);
}

Place place_of(const Node& node);
std::string_view text_of(const Node& node);  // without the blanks after it
std::string unquoted(const Node& node);      // without quotes and escapes

[[noreturn]] void fail(const Source& source, const Node& node, std::string message, std::string suggestion = {});
// Underlines the first word of a construct.
[[noreturn]] void fail_start(const Source& source, const Node& node, std::string message, std::string suggestion = {});

// A token as error messages show it: "'stroe'"; "the end of the line" for an empty token.
std::string shown(std::string_view token);

}  // namespace faultline
