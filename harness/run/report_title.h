// Reports of the kernel log: where each begins, and its title. Two reports of the same bug have the same title, whatever
// addresses, offsets, times, tasks and CPUs they name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace faultline {

using Lines = std::span<const std::string>;

// Cuts lines of the kernel log or of a console into reports. Each begins with a health line (health_lines.h); what comes before
// the first one belongs to the first report. All lines are one report if none is a health line.
std::vector<Lines> cut_reports(Lines lines);

// What kind of report it is, and in which function: "KASAN: slab-use-after-free in dmirror_fault", "WARNING in
// mmu_interval_read_begin", "possible deadlock in ...", "INFO: task hung in ...". For a kind that is not known, its health line
// without numbers. Without a health line it is the first line: the bench wrote it, about a GPU for instance.
std::string report_title(Lines report);

struct TitledReport {
  std::string title;
  Lines lines;  // of the first one
  std::uint64_t count = 0;
};
// The reports in the lines, each title once, in the order in which they came.
std::vector<TitledReport> titled_reports(Lines lines);

// The lines for a person: of equal reports the first one, and "3 times: TITLE" after it.
std::vector<std::string> told_once(Lines lines);

// The watchdog's line of a task that is hung (check_hung_task()). Its stack follows.
bool is_hung_task(const std::string& line);

// The functions that the lines name with an offset, in their order, without those that the kernel is not sure of
// ("? kfree+0xe6/0x1a0"), and without what the compiler adds to a name (".isra.0").
std::vector<std::string> functions_of(Lines lines);

// "f+0x1c/0x40 of CPU 3" with # for each number.
std::string without_numbers(const std::string& line);

}  // namespace faultline
