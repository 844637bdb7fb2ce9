#include "harness/parser.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "harness/check.h"
#include "harness/conditions.h"
#include "harness/declarations.h"
#include "harness/lexer.h"
#include "harness/statements.h"

namespace faultline {
namespace {

// Bytes of the UTF-8 character that `text` begins with; 0 when it begins with none.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  const bool begins_none = (first >= 0x80 && first < 0xC2) || first > 0xF4;
  const std::size_t bytes = begins_none ? 0 : first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (std::size_t i = 1; i < bytes; i++) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool surrogate = first == 0xED && byte(1) > 0x9F;
  const bool beyond = first == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || beyond ? 0 : bytes;
}

void check_encoding(const Source& source) {
  for (int number = 1; number <= source.lines(); number++) {
    const std::string_view line = source.line(number);
    for (std::size_t at = 0; at < line.size();) {
      const Place place{number, static_cast<int>(at) + 1};
      const auto byte = static_cast<unsigned char>(line[at]);
      if (byte == 0) source.fail(place, 1, "a NUL byte: this is no text");
      if ((byte < 0x20 && byte != '\t') || byte == 0x7F) source.fail(place, 1, "a control character");
      const std::size_t bytes = character_bytes(line.substr(at));
      if (bytes == 0) source.fail(place, 1, "not UTF-8");
      at += bytes;
    }
  }
}

// A root needs no main thread: what it has are its named threads.
void drop_idle_main_threads(Program& program) {
  std::erase_if(program.threads, [&](const Thread& thread) {
    const Process& process = program.processes[thread.process];
    return process.parent < 0 && thread.name == process.name && thread.statements.empty();
  });
}

[[noreturn]] void fail_file(const std::string& file, const std::string& message) {
  throw ParseError({file, {}, 1, "", message, ""});
}

std::string too_large() {
  return "too large for a scenario: the limit is " + std::to_string(limits::text_bytes) + " bytes";
}

}  // namespace

Program parse(std::string_view text, const std::string& file) {
  if (text.size() > limits::text_bytes) fail_file(file, too_large());
  const Source source(text, file);
  check_encoding(source);
  const std::vector<Line> lines = lex(source);
  Declarations declarations = read_declarations(source, lines);
  Program& program = declarations.program;
  for (const StatementLine& statement : declarations.statements) {
    read_statement(program, source, *statement.line, statement.thread);
  }
  drop_idle_main_threads(program);
  check(program, source);
  for (const Line* line : declarations.observes) read_observes(program, source, *line);
  for (const Line* line : declarations.claims) {
    if (program.claims.size() == limits::claims) {
      source.fail(line->tokens[0].place, line->tokens[0].length,
                  "too many claims: the limit is " + std::to_string(limits::claims));
    }
    program.claims.push_back(read_claim(program, source, *line));
  }
  return std::move(program);
}

Program parse_file(const std::string& path) {
  // Asked before it is opened, since opening a FIFO would wait for its writer.
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (error) fail_file(path, "cannot be read: " + error.message());
  if (!std::filesystem::is_regular_file(status)) fail_file(path, "not a regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail_file(path, std::string("cannot be read: ") + std::strerror(errno));
  std::string text(limits::text_bytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) fail_file(path, "cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return parse(text, path);
}

}  // namespace faultline
