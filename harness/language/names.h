// Looks up names in the Program that is being built. Suggests a name if there is no such thing. The passes of the parser
// derive from Names.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/language/syntax.h"
#include "harness/language/words.h"
#include "harness/program.h"

namespace faultline {

template <typename Named>
int find_named(const std::vector<Named>& list, std::string_view name) {
  for (std::size_t i = 0; i < list.size(); i++) {
    if (list[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

template <typename Named>
std::vector<std::string> names_of(const std::vector<Named>& list) {
  std::vector<std::string> result;
  for (const Named& named : list) result.push_back(named.name);
  return result;
}

class Names {
 public:
  Names(Program& program, const Source& source) : program_(program), source_(source) {}

 protected:
  // The name of something new. Fails if it is not a name, is a word of the language, or is too long.
  std::string new_name(const Node& name) const;
  // Fails unless `name`, which is `word` or a part of it, has the form of a name.
  void check_form(const Node& word, std::string_view name) const;

  int process(const Node& name) const;
  int file(const Node& name) const;
  Cell cell(const Node& cell) const;
  PageRange range(const Node& range) const;
  // What a region or an mmap maps: the backing, and the index of its file or -1.
  std::pair<Backing, int> backed(const Node& construct, Backing word) const;
  // "d": the descriptor that `process` itself opened. "P.d": the one that P opened.
  Via via(const Node& descriptor, int process) const;

  // `what` names the number in the error message: "value".
  int number(const Node& number, const std::string& what, int limit) const;
  int value(const Node& value) const { return number(value, "value", limits::value); }

  // The value of the construct's child `Rule`, which is a closed set of words.
  template <typename Rule>
  auto closed(const Node& construct) const {
    return *words::find(Rule::table, text_of(get<Rule>(construct)));
  }

  template <typename... Rest>
  [[noreturn]] void fail(const Node& node, Rest&&... rest) const {
    faultline::fail(source_, node, std::forward<Rest>(rest)...);
  }
  [[noreturn]] void too_many(const Node& node, const std::string& what, int limit) const;

  Program& program_;
  const Source& source_;

 private:
  const Region& region(const Node& construct) const;
  int page(const Node& number, const Region& region) const;
};

}  // namespace faultline
