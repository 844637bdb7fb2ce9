// Reports in the kernel log that are explained: bugs of a kernel or a driver that have nothing to do with a change under test.
//
// A run tells such a report by its name, and goes on: it is no finding. What is not surely the same report, or comes from a
// kernel that is not known to have the bug, is a finding. All of them are in the table in known_findings.cpp, and each is
// explained in results/findings/NAME.md. (known_bugs.h is about bugs that show in outcomes.)
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/run/report_title.h"

namespace faultline {

struct KnownFinding {
  const char* name;          // results/findings/NAME.md explains it
  const char* target;        // the target whose driver has it: "amdgpu"
  const char* what;          // what the kernel reports, in one line
  const char* since;         // the first release that is known to have it
  const char* fixed_in;      // as of KnownBug
  bool ends_machine;         // the kernel dies of it, or the machine is of no more use
  bool (*is)(Lines report);  // whether the report is surely this one, and nothing else
};

std::span<const KnownFinding> known_findings();

bool has_finding(const KnownFinding& finding, std::string_view target, std::string_view kernel);

// "known finding NAME (results/findings/NAME.md): what the kernel reports"
std::string known_finding_text(const KnownFinding& finding);

// Lines of the kernel log or of a console, cut into reports, each of which begins with a health line.
struct SortedReports {
  std::vector<const KnownFinding*> known;
  std::vector<std::string> other;  // the lines of the reports that are not known; all lines if none is known
};
SortedReports sort_reports(Lines lines, std::string_view target, std::string_view kernel);

}  // namespace faultline
