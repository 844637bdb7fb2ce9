#include "harness/language/names.h"

#include <charconv>

namespace faultline {

void Names::check_form(const Node& word, std::string_view name) const {
  if (name.size() > limits::name_bytes) {
    fail(word, "a name is at most " + std::to_string(limits::name_bytes) + " characters long");
  }
  if (name.find('.') != name.npos) {
    fail(word, shown(text_of(word)) + " is not a name: letters, digits, '_' and '-', first a letter");
  }
}

std::string Names::new_name(const Node& name) const {
  const std::string_view text = text_of(name);
  check_form(name, text);
  if (words::has(words::declarations, text) || words::has(grammar::verbs, text) || words::has(words::inner, text)) {
    fail(name, shown(text) + " is a word of the language and cannot be a name");
  }
  return std::string(text);
}

int Names::process(const Node& name) const {
  const std::string_view text = text_of(name);
  const int process = find_named(program_.processes, text);
  if (process < 0) {
    // The name of a thread begins with that of its process.
    const std::string owner(text.substr(0, text.find('.')));
    const bool known = find_named(program_.processes, owner) >= 0;
    fail(name, "unknown process " + shown(text),
         known ? "did you mean '" + owner + "'?" : did_you_mean_or_known(owner, names_of(program_.processes)));
  }
  return process;
}

int Names::file(const Node& name) const {
  const int file = find_named(program_.files, text_of(name));
  if (file < 0) {
    fail(name, "unknown file " + shown(text_of(name)), did_you_mean_or_known(text_of(name), names_of(program_.files)));
  }
  return file;
}

std::pair<Backing, int> Names::backed(const Node& construct, Backing word) const {
  const Node* name = find<grammar::file_name>(construct);
  if (!name) {
    const Node* const kind = find<grammar::backing>(construct);
    if (word == Backing::file_private)
      fail(kind ? *kind : get<grammar::mapped_backing>(construct), "a private mapping is of a file: 'private f rw'");
    return {word, -1};
  }
  if (word == Backing::anon_private || word == Backing::stack)
    fail(*name, "anonymous memory is of no file: 'private' or 'shared' is");
  return {word == Backing::anon_shared ? Backing::file_shared : word, file(*name)};
}

const Region& Names::region(const Node& construct) const {
  const Node& name = get<grammar::region_name>(construct);
  const int region = find_named(program_.regions, text_of(name));
  if (region < 0) {
    fail(name, "unknown region " + shown(text_of(name)), did_you_mean_or_known(text_of(name), names_of(program_.regions)));
  }
  return program_.regions[region];
}

int Names::page(const Node& number, const Region& region) const {
  const int page = this->number(number, "page", limits::pages_per_region);
  if (page >= region.pages) {
    const std::string pages = std::to_string(region.pages) + (region.pages == 1 ? " page" : " pages");
    fail(number, "impossible address " + region.name + "[" + std::to_string(page) + "]: '" + region.name + "' has " + pages +
                     ", 0 to " + std::to_string(region.pages - 1));
  }
  return page;
}

Cell Names::cell(const Node& cell) const {
  const Region& region = this->region(cell);
  return {static_cast<int>(&region - program_.regions.data()), page(get<grammar::page_number>(cell), region)};
}

PageRange Names::range(const Node& range) const {
  const Region& region = this->region(range);
  const int index = static_cast<int>(&region - program_.regions.data());
  if (range.children.size() == 1) return {index, 0, region.pages};
  const int first = page(*range.children[1], region);
  const Node& end = *range.children.back();
  const int last = page(end, region);
  if (last < first) fail(end, "a range of pages goes upwards and includes both ends");
  return {index, first, last - first + 1};
}

Via Names::via(const Node& descriptor, int process) const {
  const std::string_view text = text_of(descriptor);
  const std::size_t dot = text.find('.');
  const std::string_view name = text.substr(dot == text.npos ? 0 : dot + 1);
  const int device = find_named(program_.devices, name);
  if (device < 0) {
    fail(descriptor, "unknown device " + shown(name), did_you_mean_or_known(name, names_of(program_.devices)));
  }
  if (dot == text.npos) return {device, process};
  const std::string_view opener_name = text.substr(0, dot);
  const int opener = find_named(program_.processes, opener_name);
  if (opener < 0) {
    fail(descriptor, "unknown process " + shown(opener_name), did_you_mean_or_known(opener_name, names_of(program_.processes)));
  }
  return {device, opener};
}

int Names::number(const Node& number, const std::string& what, int limit) const {
  const std::string_view text = text_of(number);
  int value = 0;
  const std::from_chars_result read = std::from_chars(text.begin(), text.end(), value);
  if (read.ec != std::errc{} || value > limit) {
    fail(number, what + " " + shown(text) + " is over the limit of " + std::to_string(limit));
  }
  return value;
}

void Names::too_many(const Node& node, const std::string& what, int limit) const {
  fail_start(source_, node, "too many " + what + ": the limit is " + std::to_string(limit));
}

}  // namespace faultline
