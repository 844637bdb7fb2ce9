#include "harness/run/known_findings.h"

#include <algorithm>
#include <array>
#include <set>

#include "harness/health_lines.h"
#include "harness/run/known_bugs.h"

namespace faultline {
namespace {

bool has(const std::string& line, std::string_view words) { return line.find(words) != line.npos; }

bool any_has(Lines lines, std::string_view words) {
  return std::ranges::any_of(lines, [&](const std::string& line) { return has(line, words); });
}

// Whether each health line of the report has one of these words, and the first one has the first word.
bool reports_only(Lines report, std::initializer_list<std::string_view> words) {
  const std::string* first = nullptr;
  for (const std::string& line : report) {
    if (!is_health_line(line)) continue;
    if (!first) first = &line;
    if (std::ranges::none_of(words, [&](std::string_view word) { return has(line, word); })) return false;
  }
  return first && has(*first, *words.begin());
}

// The class of the lock in "ffff8880 (&mgr->lock#2){+.+.}-{3:3}, at: ...", without the number that tells classes of one name
// apart. Empty if there is none.
std::string lock_class(const std::string& line) {
  const std::size_t end = line.find("){");
  const std::size_t start = end == line.npos ? line.npos : line.rfind('(', end);
  if (start == line.npos) return "";
  const std::string name = line.substr(start + 1, end - start - 1);
  return name.substr(0, name.find_first_of("#/"));
}

// The classes of the cycle that lockdep reports (print_circular_bug()). Empty if the report is cut off before its end.
std::multiset<std::string> lock_cycle(Lines report) {
  std::multiset<std::string> classes;
  bool whole = false;
  for (const std::string& line : report) {
    const std::size_t link = line.find("-> #");
    if (link == line.npos) continue;
    classes.insert(lock_class(line));
    whole |= line.substr(link).starts_with("-> #0 ");
  }
  return whole ? classes : std::multiset<std::string>{};
}

bool is_lock_cycle(Lines report) {
  static const std::multiset<std::string> cycle{"&mgr->lock", "fs_reclaim", "mmu_notifier_invalidate_range_start",
                                                "&prange->lock"};
  return reports_only(report, {"possible circular locking dependency detected"}) && lock_cycle(report) == cycle &&
         any_has(report, "amdgpu_vram_mgr_new") && any_has(report, "svm_range_validate_and_map");
}

// get_page() or put_page() (mm.h) of a page without references, while a GPU fault's migration to VRAM ends.
bool is_reused_page(Lines report) {
  return reports_only(report, {"kernel BUG at include/linux/mm.h", "Oops: invalid opcode",
                               "Kernel panic - not syncing: Fatal exception"}) &&
         any_has(report, "migrate_device_finalize+") && any_has(report, "svm_migrate_ram_to_vram") &&
         any_has(report, "svm_range_restore_pages+");
}

constexpr std::array table = {
    KnownFinding{.name = "lock-cycle",
                 .target = "amdgpu",
                 .what = "lockdep reports a cycle of mgr->lock, fs_reclaim and prange->lock, and then nothing more until the "
                         "machine is started again",
                 .since = "6.1",
                 .fixed_in = "",
                 .ends_machine = false,
                 .is = is_lock_cycle},
    KnownFinding{.name = "reused-page",
                 .target = "amdgpu",
                 .what = "the kernel dies of a page of VRAM without references: a GPU fault made it anew while a CPU fault "
                         "still held it",
                 .since = "6.1",
                 .fixed_in = "",
                 .ends_machine = true,
                 .is = is_reused_page},
};

// A health line that goes on with the report before it, where that one is a BUG.
bool goes_on(const std::string& line) { return has(line, "Oops: ") || has(line, "Kernel panic - not syncing: Fatal exception"); }

// The reports in the lines. What comes before the first health line belongs to the first report.
std::vector<Lines> cut(Lines lines) {
  std::vector<Lines> reports;
  std::size_t start = 0;
  bool open = false, bug = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!is_health_line(lines[i]) || (bug && goes_on(lines[i]))) continue;
    if (open) reports.push_back(lines.subspan(start, i - start)), start = i;
    open = true;
    bug = has(lines[i], "BUG");
  }
  reports.push_back(lines.subspan(start));
  return reports;
}

}  // namespace

std::span<const KnownFinding> known_findings() { return table; }

bool has_finding(const KnownFinding& finding, std::string_view target, std::string_view kernel) {
  return target.substr(0, target.find(':')) == finding.target && version_of(kernel) >= version_of(finding.since) &&
         !is_fixed(finding.fixed_in, kernel);
}

std::string known_finding_text(const KnownFinding& finding) {
  const std::string name = finding.name;
  return "known finding " + name + " (results/findings/" + name + ".md): " + finding.what;
}

SortedReports sort_reports(Lines lines, std::string_view target, std::string_view kernel) {
  SortedReports sorted;
  for (const Lines report : cut(lines)) {
    const auto known = std::ranges::find_if(
        table, [&](const KnownFinding& finding) { return has_finding(finding, target, kernel) && finding.is(report); });
    if (known != table.end()) sorted.known.push_back(&*known);
    else sorted.other.insert(sorted.other.end(), report.begin(), report.end());
  }
  return sorted;
}

}  // namespace faultline
