// The first pass of the parser: what a scenario declares, and which lines belong to what. Declarations
// come first, since a thread may fork a process that the text describes further down.
#pragma once

#include <vector>

#include "harness/lexer.h"
#include "harness/program.h"

namespace faultline {

struct StatementLine {
  const Line* line = nullptr;
  int thread = 0;
};

struct Declarations {
  Program program;  // without statements, observes and claims; every process has a main thread here
  std::vector<StatementLine> statements;
  std::vector<const Line*> observes;
  std::vector<const Line*> claims;
};

// The result points into `lines`.
Declarations read_declarations(const Source& source, const std::vector<Line>& lines);

}  // namespace faultline
