#include "harness/app/shrunk_file.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "harness/language/diagnostic.h"
#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "results/report.h"

namespace faultline::app {
namespace {

std::size_t statements(const Program& program) {
  std::size_t count = 0;
  for (const Thread& thread : program.threads) count += thread.statements.size();
  return count;
}

std::string percent(double rate) {
  char text[32];
  if (rate >= 0.1) std::snprintf(text, sizeof text, "%.0f %%", 100 * rate);
  else std::snprintf(text, sizeof text, "%.2g %%", 100 * rate);
  return text;
}

}  // namespace

std::string shrunk_text(const Shrunk& shrunk) {
  if (shrunk.rate <= 0) return "it did not show again";
  std::string text = plural(statements(shrunk.program), "statement");
  try {
    text += " of " + std::to_string(statements(parse(shrunk.finding.text, shrunk.finding.file)));
  } catch (const ParseError&) {}
  text += ", shows in " + percent(shrunk.rate) + " of the iterations";
  return text + (shrunk.smallest ? "" : "; not yet the smallest, the time was up");
}

std::string write_text(const std::string& text, const std::string& file) {
  errno = 0;
  std::ofstream out(file, std::ios::binary);
  out << text << std::flush;
  return out ? "" : file + ": " + (errno ? std::strerror(errno) : "cannot be written");
}

std::string write_shrunk(const Shrunk& shrunk, const std::string& file) {
  Program program = shrunk.program;
  const Finding& finding = shrunk.finding.finding;
  program.doc = std::string(finding_text(finding.what)) + " on " + finding.target + ", in " + percent(shrunk.rate) +
                " of the iterations. Made of " + (shrunk.finding.file.empty() ? finding.scenario : shrunk.finding.file) + ".";
  if (shrunk.forbidden) program.claims = {{Claim::Kind::never, *shrunk.forbidden, {}}};
  return write_text(print(program), file);
}

}  // namespace faultline::app
