// The pieces of C that all reproducers are made of: runtime.c, files.c, dmirror.c, pins.c and uffd.c.
#pragma once

#include <string>

namespace faultline::repro {

// What a scenario decides. Each ends with a newline, or is empty; but `shows` is an expression.
struct Parts {
  std::string declarations;
  std::string functions;  // those of processes and threads
  // In main():
  std::string checks;  // whether the machine has what is needed
  std::string start;   // of an iteration
  std::string wait;    // until an iteration has ended, and what is looked at then
  std::string shows;   // whether the outcome is the one that is looked for
  std::string print;   // the outcome
};

// A C file: the headers and constants that are used, the declarations, the functions that are used, and main().
std::string assembled(const Parts& parts);

}  // namespace faultline::repro
