#include "results/targets_text.h"

#include <algorithm>
#include <map>

#include "harness/language/words.h"
#include "results/report.h"

namespace faultline {

namespace {

// Wraps words into lines of at most 110 columns.
std::string wrapped(const std::vector<std::string>& words, const std::string& indent) {
  std::string text, line = indent;
  for (const std::string& word : words) {
    if (line.size() > indent.size() && line.size() + word.size() > 110) {
      text += line + "\n";
      line = indent;
    }
    line += (line.size() > indent.size() ? " " : "") + word;
  }
  return text + line + "\n";
}

std::string words_of(Capability::Line line, const Capabilities& can) {
  std::string text;
  for (const Capability& row : capability_table)
    if (row.line == line && row.of(can)) text += row.text;
  return text;
}

std::string usm_line(const std::string& indent, const Capabilities& can) {
  std::string text;
  for (const UsmKind& kind : usm_kinds) {
    const UsmAccess& usm = can.*kind.member;
    if (!usm.access) continue;
    text += (text.empty() ? indent + "USM: " : "; ") + std::string(kind.name) + (usm.concurrent ? ", beside the host" : "") +
            (usm.concurrent_atomics ? " with atomics"
             : usm.atomics          ? ", atomics of the device"
                                    : "");
  }
  if (can.device_address) text += (text.empty() ? indent : "; ") + std::string("buffer device addresses");
  return text.empty() ? text : text + "\n";
}

}  // namespace

std::string targets_text(const std::vector<TargetRow>& rows, std::size_t scenarios, bool names) {
  std::size_t width = 0;
  for (const TargetRow& row : rows) width = std::max(width, row.word.size());
  std::string text;
  for (const TargetRow& row : rows) {
    const Capabilities& can = row.capabilities;
    text += padded(row.word, width) + "  " + (row.available ? "available" : "not here") +
            (row.why.empty() ? "" : ": " + printable(row.why)) + "\n";
    if (!row.known) continue;
    const std::string indent(width + 2, ' ');
    text += indent + "class " + words::text(words::device_classes, can.device_class) + "; sees values and errors";
    text += words_of(Capability::Line::own, can) + "\n";
    if (can.svm_coarse) text += indent + "SVM: " + words_of(Capability::Line::svm, can) + "\n";
    text += usm_line(indent, can);
    if (!row.files.empty()) text += indent + "files on " + row.files + "\n";
    if (scenarios == 0) continue;
    text += indent + "runs " + std::to_string(row.runs) + " of " + plural(scenarios, "scenario") + "\n";
    std::map<std::string, std::vector<std::string>> skipped;  // by reason
    for (const auto& [name, why] : row.does_not_run) skipped[why].push_back(name);
    for (const auto& [why, all] : skipped) {
      text += indent + "  not " + std::to_string(all.size()) + ": " + why + "\n";
      if (names) text += wrapped(all, indent + "    ");
    }
  }
  return text;
}

}  // namespace faultline
