#include "stress/repro/comment.h"

#include <sstream>

#include "harness/language/printer.h"

namespace faultline::repro {
namespace {

constexpr std::size_t width = 90;

// The words in lines of ` * `, with `indent` before each line.
std::string wrapped(const std::string& words, const std::string& indent = "") {
  std::istringstream stream(words);
  std::string text, line;
  for (std::string word; stream >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      text += " * " + indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return line.empty() ? text : text + " * " + indent + line + "\n";
}

std::string needs(Machine machine) {
  switch (machine) {
    case Machine::host: return "";
    case Machine::pinned: return "It needs io_uring, and enough locked memory (ulimit -l) or root.";
    case Machine::dmirror: return "It needs the kernel's HMM test device (CONFIG_TEST_HMM), and root.";
  }
  return "";
}

// The scenario without its name, its text and its claims, which the comment tells in other words.
std::string scenario_lines(const Program& program) {
  Program plain = program;
  plain.doc.clear();
  plain.claims.clear();
  std::istringstream lines(print(plain));
  std::string text;
  bool first = true;
  for (std::string line; std::getline(lines, line); first = false)
    if (!first && !line.empty()) text += " *   " + line + "\n";
  return text;
}

}  // namespace

std::string comment(const Program& program, Machine machine, const Story& story) {
  std::string text = "/*\n" + wrapped(program.name) + " *\n";
  if (!program.doc.empty()) text += wrapped(program.doc) + " *\n";
  text += wrapped("This program looks for an outcome with");
  for (const std::string& line : story.looked) text += wrapped(line, "  ");
  text += wrapped(story.reason);
  if (!story.seen_on.empty()) text += wrapped("It was seen on " + story.seen_on + ".");
  text += " *\n";
  text += wrapped(
      "Build it: cc -O2 -pthread THIS.c. Run it: ./a.out [ITERATIONS [SECONDS]]; without numbers that is 10000 "
      "iterations, or 60 seconds if they take longer.");
  text += wrapped(needs(machine));
  text += wrapped(
      "It prints the outcome and exits with 1 as soon as the bug shows; with 0 if it did not show. 2: this machine "
      "lacks something, 3: an iteration did not end.");
  text += " *\n" + wrapped("The same as a scenario of faultline:") + scenario_lines(program);
  for (std::size_t at = text.find("*/"); at != text.npos; at = text.find("*/", at)) text.replace(at, 2, "* /");
  return text + " */\n";
}

}  // namespace faultline::repro
