#include "harness/names.h"

#include "harness/words.h"

namespace faultline {
namespace {

std::string pages_text(const Region& region) {
  const std::string count = std::to_string(region.pages) + (region.pages == 1 ? " page" : " pages");
  return "'" + region.name + "' has " + count + ", 0 to " + std::to_string(region.pages - 1);
}

int read_region(Cursor& cursor, const Program& program) {
  const Token& token = cursor.word("a region");
  const int region = find_named(program.regions, token.text);
  if (region < 0) {
    cursor.fail(token, "unknown region " + quoted(token), did_you_mean_or_known(token.text, names_of(program.regions)));
  }
  return region;
}

int read_page(Cursor& cursor, const Region& region) {
  const Token token = cursor.peek();
  const int page = cursor.number("page", 1'000'000);
  if (page >= region.pages) {
    cursor.fail(token, "impossible address " + region.name + "[" + std::to_string(page) + "]: " + pages_text(region));
  }
  return page;
}

}  // namespace

void check_form(const Cursor& cursor, const Token& token, std::string_view name) {
  if (name.size() > limits::name_bytes) {
    cursor.fail(token, "a name is at most " + std::to_string(limits::name_bytes) + " characters long");
  }
  if (name.empty() || name.front() == '#' || name.find('.') != name.npos) {
    cursor.fail(token, quoted(token) + " is not a name: letters, digits, '_' and '-', first a letter");
  }
}

const Token& read_new_name(Cursor& cursor, const char* what) {
  const Token& token = cursor.word(what);
  check_form(cursor, token, token.text);
  const std::string& name = token.text;
  if (words::has(words::declarations, name) || words::has(words::operations, name) || words::has(words::inner, name)) {
    cursor.fail(token, quoted(token) + " is a word of the language and cannot be a name");
  }
  return token;
}

int read_process(Cursor& cursor, const Program& program) {
  const Token& token = cursor.word("a process");
  const int process = find_named(program.processes, token.text);
  if (process < 0) {
    // The name of a thread begins with that of its process.
    const std::string owner = token.text.substr(0, token.text.find('.'));
    const bool known = find_named(program.processes, owner) >= 0;
    cursor.fail(token, "unknown process " + quoted(token),
                known ? "did you mean '" + owner + "'?" : did_you_mean_or_known(owner, names_of(program.processes)));
  }
  return process;
}

Cell read_cell(Cursor& cursor, const Program& program) {
  const int region = read_region(cursor, program);
  cursor.expect("[");
  const int page = read_page(cursor, program.regions[region]);
  cursor.expect("]");
  return {region, page};
}

PageRange read_range(Cursor& cursor, const Program& program) {
  const int index = read_region(cursor, program);
  const Region& region = program.regions[index];
  if (!cursor.accept("[")) return {index, 0, region.pages};
  const int first = read_page(cursor, region);
  int last = first;
  if (cursor.accept("..")) {
    const Token token = cursor.peek();
    last = read_page(cursor, region);
    if (last < first) cursor.fail(token, "a range of pages goes upwards and includes both ends");
  }
  cursor.expect("]");
  return {index, first, last - first + 1};
}

Via device_via(const Cursor& cursor, const Token& token, const Program& program, int process) {
  const std::size_t dot = token.text.find('.');
  const std::string name = dot == token.text.npos ? token.text : token.text.substr(dot + 1);
  const int device = find_named(program.devices, name);
  if (device < 0) {
    cursor.fail(token, "unknown device '" + name + "'", did_you_mean_or_known(name, names_of(program.devices)));
  }
  if (dot == token.text.npos) return {device, process};
  const std::string opener_name = token.text.substr(0, dot);
  const int opener = find_named(program.processes, opener_name);
  if (opener < 0) {
    cursor.fail(token, "unknown process '" + opener_name + "'",
                did_you_mean_or_known(opener_name, names_of(program.processes)));
  }
  return {device, opener};
}

Protection read_protection(Cursor& cursor) {
  const Token& token = cursor.peek();
  const auto protection = words::find(words::protections, token.text);
  if (!protection) cursor.fail_expected("a protection (rw, r, w or -)");
  cursor.take();
  return *protection;
}

}  // namespace faultline
