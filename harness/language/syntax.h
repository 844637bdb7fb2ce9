// Scenario text as a tree of the grammar's rules, and how the passes over that tree read it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tao/pegtl/contrib/parse_tree.hpp>

#include "harness/language/diagnostic.h"
#include "harness/language/grammar.h"

namespace faultline {

// A construct or a token, of which the rule tells. Points into the text.
using Node = tao::pegtl::parse_tree::node;

// The lines (grammar::lines) are the children of the result. Throws ParseError for the first place that the
// grammar does not allow.
std::unique_ptr<Node> read_syntax(std::string_view text, const Source& source);

// The child that is a `Rule`, or none.
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

// Calls `visitor` with the one of `Rules` that the node is.
template <typename... Rules, typename Visitor>
void visit(tao::pegtl::type_list<Rules...>, const Node& node, Visitor visitor) {
  (void)((node.is_type<Rules>() && (visitor(Rules{}), true)) || ...);
}

Place place_of(const Node& node);
std::string_view text_of(const Node& node);  // without the blanks behind it
std::string unquoted(const Node& node);      // what a quoted text says

[[noreturn]] void fail(const Source& source, const Node& node, std::string message, std::string suggestion = {});
// Underlines the first word of a construct.
[[noreturn]] void fail_start(const Source& source, const Node& node, std::string message, std::string suggestion = {});

// A token as messages show it: "'stroe'"; "the end of the line" for the empty one.
std::string shown(std::string_view token);

}  // namespace faultline
