// The first pass over the tree: the declarations, and which line belongs to which thread. Declarations are read first,
// because a thread may fork a process that comes later in the text.
#pragma once

#include <vector>

#include "harness/language/syntax.h"
#include "harness/program.h"

namespace faultline {

struct ThreadLine {
  const Node* node = nullptr;
  int thread = 0;
};

struct Declarations {
  Program program;  // without statements, observes and claims; every process has a main thread here
  std::vector<ThreadLine> statements;
  std::vector<const Node*> observes;
  std::vector<const Node*> claims;
};

// The result points into `tree`.
Declarations read_declarations(const Node& tree, const Source& source);

}  // namespace faultline
