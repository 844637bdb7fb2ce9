#include "harness/language/parser.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

#include "harness/language/check.h"
#include "harness/language/conditions.h"
#include "harness/language/declarations.h"
#include "harness/language/statements.h"
#include "harness/language/syntax.h"

namespace faultline {
namespace {

// Removes main threads without statements from root processes. A root needs only its named threads.
void drop_idle_main_threads(Program& program) {
  std::erase_if(program.threads, [&](const Thread& thread) {
    const Process& process = program.processes[thread.process];
    return process.parent < 0 && thread.name == process.name && thread.statements.empty();
  });
}

[[noreturn]] void fail_file(const std::string& file, const std::string& message) {
  throw ParseError({file, {}, 1, "", message, ""});
}

}  // namespace

Program parse(std::string_view text, const std::string& file) {
  if (text.size() > limits::text_bytes) {
    fail_file(file, "too large for a scenario: the limit is " + std::to_string(limits::text_bytes) + " bytes");
  }
  const Source source(text, file);
  const std::unique_ptr<Node> tree = read_syntax(text, source);
  Declarations declarations = read_declarations(*tree, source);
  Program& program = declarations.program;
  for (const ThreadLine& statement : declarations.statements) {
    read_statement(program, source, *statement.node, statement.thread);
  }
  drop_idle_main_threads(program);
  check(program, source);
  read_conditions(program, source, declarations);
  check_spans(program, source);
  return std::move(program);
}

std::vector<std::string> operation_words() { return {grammar::verbs.begin(), grammar::verbs.end()}; }

Program parse_file(const std::string& path) {
  // Check before opening, because opening a FIFO would wait for a writer.
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
