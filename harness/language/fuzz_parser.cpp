// libFuzzer target. Any bytes must give a ParseError, or a Program that print() turns into the text of an equal Program.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace faultline;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Program program;
  try {
    program = parse(text, "fuzz");
  } catch (const ParseError&) {
    return 0;
  }
  (void)schema(program);
  const std::string printed = print(program);
  // print() writes keys in full, which is longer than what a person writes. A text near the limit may then exceed it.
  if (printed.size() > limits::text_bytes) return 0;
  try {
    if (parse(printed, "printed") == program) return 0;
    std::cerr << "another Program:\n" << printed;
  } catch (const ParseError& error) {
    std::cerr << error.what() << "in:\n" << printed;
  }
  std::abort();
}
