#include "harness/run/report_title.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "harness/health_lines.h"

namespace faultline {
namespace {

bool has(const std::string& line, std::string_view words) { return line.find(words) != line.npos; }

// Where the function of a report is named.
enum class Where {
  nowhere,
  after,  // in the health line or the first line after it that names one: "..., at: f+0x1", "RIP: 0010:f+0x1"
  stack,  // after "Call Trace:" if there is that line; before it other functions are named, such as those that took the locks that are held
};

struct Kind {
  std::string_view words;  // of the health line
  std::string_view title;
  Where where;
};

// The first row that fits counts.
constexpr std::array kinds = {
    Kind{"possible circular locking", "possible deadlock", Where::after},      // lockdep.c: print_circular_bug_header()
    Kind{"possible recursive locking", "possible deadlock", Where::after},     // print_deadlock_bug()
    Kind{"possible irq lock inversion", "possible deadlock", Where::after},    // print_irq_inversion_bug()
    Kind{"unsafe lock order detected", "possible deadlock", Where::after},     // print_bad_irq_dependency()
    Kind{"inconsistent lock state", "inconsistent lock state", Where::after},  // print_usage_bug()
    Kind{"bad unlock balance", "WARNING: bad unlock balance", Where::after},
    Kind{"held lock freed", "WARNING: held lock freed", Where::stack},
    Kind{"suspicious RCU usage", "WARNING: suspicious RCU usage", Where::stack},
    Kind{"sleeping function called", "BUG: sleeping function called from invalid context", Where::stack},
    Kind{"scheduling while atomic", "BUG: scheduling while atomic", Where::stack},
    Kind{"soft lockup", "BUG: soft lockup", Where::after},  // watchdog.c: watchdog_timer_fn()
    Kind{"hard LOCKUP", "hard LOCKUP", Where::after},       // watchdog_overflow_callback()
    Kind{"detected stall", "INFO: rcu detected stall", Where::after},
    Kind{"blocked for more than", "INFO: task hung", Where::stack},  // hung_task.c: check_hung_task()
    Kind{"list_add corruption", "list corruption", Where::stack},
    Kind{"list_del corruption", "list corruption", Where::stack},
    Kind{"general protection", "general protection fault", Where::after},
    Kind{"NULL pointer dereference", "BUG: kernel NULL pointer dereference", Where::after},
    Kind{"unable to handle page fault", "BUG: unable to handle page fault", Where::after},
    Kind{"Unable to handle kernel paging request", "BUG: unable to handle page fault", Where::after},  // Arm
    Kind{"stack guard page was hit", "BUG: stack guard page was hit", Where::after},
    Kind{"BUG at", "kernel BUG", Where::after},
    Kind{"Bad page map", "BUG: Bad page map", Where::nowhere},
    Kind{"Internal error", "Oops", Where::after},  // Arm
    Kind{"Oops", "Oops", Where::after},
};

// Functions that only tell, wait or lock for the one that a report is about.
bool is_plumbing(std::string_view function) {
  static constexpr std::array beginnings = {"dump_stack",
                                            "print_",
                                            "kasan_",
                                            "__kasan_",
                                            "__asan_",
                                            "kfence_",
                                            "ubsan_",
                                            "__ubsan_",
                                            "__might_",
                                            "__schedule",
                                            "schedule",
                                            "io_schedule",
                                            "preempt_schedule",
                                            "mutex_lock",
                                            "__mutex_lock",
                                            "rwsem_",
                                            "down_",
                                            "__down_",
                                            "lock_acquire",
                                            "lock_release",
                                            "__lock_acquire",
                                            "__lock_release",
                                            "_raw_",
                                            "do_raw_",
                                            "queued_",
                                            "native_queued_",
                                            "refcount_",
                                            "__list_",
                                            "wait_for_completion",
                                            "__wait_for_common",
                                            "__wait_on_bit",
                                            "wait_on_bit",
                                            "bit_wait",
                                            "lockdep_",
                                            "__warn",
                                            "report_bug",
                                            "handle_bug",
                                            "asm_exc_",
                                            "check_region_inline",
                                            "__read_once_word_nocheck"};
  static constexpr std::array names = {"memcpy", "memset", "memmove", "up_read", "up_write", "exc_invalid_op"};
  return std::ranges::any_of(beginnings, [&](std::string_view each) { return function.starts_with(each); }) ||
         std::ranges::find(names, function) != names.end();
}

std::string function_in(Lines lines) {
  const std::vector<std::string> functions = functions_of(lines);
  const auto first = std::ranges::find_if_not(functions, is_plumbing);
  if (first != functions.end()) return *first;
  return functions.empty() ? "" : functions.front();
}

std::string function_on_stack(Lines lines) {
  const auto trace = std::ranges::find_if(
      lines, [](const std::string& line) { return has(line, "Call Trace:") || has(line, "Call trace:"); });  // x86, Arm
  return function_in(trace == lines.end() ? lines : Lines{trace, lines.end()});
}

std::string with_function(std::string_view title, const std::string& function) {
  return std::string(title) + (function.empty() ? "" : " in " + function);
}

// The word of the line that has `part` in it.
std::string word_with(const std::string& line, std::string_view part) {
  const std::size_t at = line.find(part);
  if (at == line.npos) return "";
  const std::size_t start = line.rfind(' ', at) + 1;  // 0 if there is none
  return line.substr(start, line.find(' ', at) - start);
}

// What is between `before` and the first of `ends`.
std::string between(const std::string& line, std::string_view before, std::string_view ends) {
  const std::size_t start = line.find(before);
  if (start == line.npos) return "";
  const std::string rest = line.substr(start + before.size());
  return rest.substr(0, rest.find_first_of(ends));
}

// "BUG: KASAN: use-after-free in f+0x1/0x2 [module]", "BUG: KFENCE: use-after-free read in f+0x1/0x2",
// "UBSAN: array-index-out-of-bounds in lib/f.c:1:2": the name of the checker and what it found.
std::string checker_title(const std::string& line, std::string_view checker, Lines from_line) {
  const std::size_t start = line.find(checker);
  const std::string what = line.substr(start, line.rfind(" in ") - start);
  const std::string named = function_in(from_line.first(1));
  const bool tells = !named.empty() && !is_plumbing(named);
  return with_function(what, tells ? named : function_on_stack(from_line));
}

// "BUG: KCSAN: data-race in f / g": both functions.
std::string race_title(Lines from_line) {
  const std::vector<std::string> functions = functions_of(from_line.first(1));
  std::string title;
  for (const std::string& function : functions) title += (title.empty() ? "" : " / ") + function;
  return with_function("KCSAN: data-race", title);
}

// __warn(): "WARNING: CPU: 0 PID: 7 at mm/hmm.c:1 f+0x1/0x2", since 6.19 "WARNING: mm/hmm.c:1 at f+0x1/0x2, CPU#0: comm/7".
// Empty for another line.
std::string warning_title(const std::string& line, Lines from_line) {
  if (!has(line, "WARNING: ")) return "";
  const std::string in_source = word_with(line, ".c:"), place = in_source.empty() ? word_with(line, ".h:") : in_source;
  if (place.empty() && !has(line, " at ")) return "";
  const std::string function = function_in(from_line);
  if (function.empty() && place.empty()) return "";
  return function.empty() ? "WARNING at " + place : with_function("WARNING", function);
}

// Whether a health line goes on with the report that `first` began: the end of a BUG, or one more hung task, which may be hung
// because the first one is.
bool goes_on(const std::string& first, const std::string& line) {
  if (is_hung_task(first)) return is_hung_task(line);
  if (has(first, "corruption") && (has(line, "lib/list_debug.c") || has(line, "Oops: "))) return true;
  if (has(first, "general protection") || has(first, "Oops") || has(first, "corruption"))
    return has(line, "KASAN: ") || has(line, "Kernel panic - not syncing: Fatal exception");
  return has(first, "BUG") && (has(line, "Oops: ") || has(line, "Kernel panic - not syncing: Fatal exception") ||
                               (!has(first, "KASAN: ") && has(line, "KASAN: ") && has(line, " in range ")));
}

}  // namespace

bool is_hung_task(const std::string& line) { return has(line, "INFO: task ") && has(line, "blocked for more than "); }

std::vector<std::string> functions_of(Lines lines) {
  std::vector<std::string> functions;
  for (const std::string& line : lines) {
    for (std::size_t end = line.find("+0x"); end != line.npos; end = line.find("+0x", end + 1)) {
      const std::size_t start = line.find_last_of(" :", end) + 1;  // 0 if there is none
      if (start > 1 && line[start - 2] == '?') continue;
      const std::string name = line.substr(start, end - start);
      functions.push_back(name.substr(0, name.find('.')));
    }
  }
  return functions;
}

std::string without_numbers(const std::string& line) {
  std::string result;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!std::isxdigit(static_cast<unsigned char>(line[i]))) {
      result += line[i];
      continue;
    }
    std::size_t end = i;
    bool digit = false;
    while (end < line.size() && (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_'))
      digit = digit || std::isdigit(static_cast<unsigned char>(line[end])), ++end;
    // A word that only begins like a number is a word.
    const std::string word = line.substr(i, end - i);
    const bool number = digit && word.find_first_not_of("0123456789abcdefABCDEFx") == word.npos;
    result += number ? "#" : word;
    i = end - 1;
  }
  return result;
}

std::vector<Lines> cut_reports(Lines lines) {
  std::vector<Lines> reports;
  std::size_t start = 0;
  const std::string* first = nullptr;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!is_health_line(lines[i]) || (first && goes_on(*first, lines[i]))) continue;
    if (first) reports.push_back(lines.subspan(start, i - start)), start = i;
    first = &lines[i];
  }
  reports.push_back(lines.subspan(start));
  return reports;
}

std::string report_title(Lines report) {
  const auto begin = std::ranges::find_if(report, is_health_line);
  if (begin == report.end()) return report.empty() ? "" : report.front();
  const std::string& line = *begin;
  const Lines from_line{begin, report.end()};
  if (has(line, "KCSAN: ")) return race_title(from_line);
  for (const std::string_view checker : {"KASAN: ", "KFENCE: ", "UBSAN: "})
    if (has(line, checker)) return checker_title(line, checker, from_line);
  for (const Kind& kind : kinds) {
    if (!has(line, kind.words)) continue;
    if (kind.where == Where::nowhere) return std::string(kind.title);
    return with_function(kind.title, kind.where == Where::after ? function_in(from_line) : function_on_stack(from_line));
  }
  if (has(line, "Bad page state") || has(line, "bad page state")) {  // page_alloc.c: bad_page(), dump_page()
    const auto why = std::ranges::find_if(from_line, [](const std::string& each) { return has(each, "dumped because: "); });
    return "BUG: Bad page state" + (why == from_line.end() ? "" : ": " + between(*why, "dumped because: ", "\n"));
  }
  if (has(line, "rss-counter")) return "BUG: Bad rss-counter state of " + between(line, " type:", " ");
  if (const std::string title = warning_title(line, from_line); !title.empty()) return title;
  // From the word on: before it are the time and the name of a subsystem.
  std::size_t start = line.size();
  for (const std::string_view word : health_words) start = std::min(start, line.find(word));
  return without_numbers(line.substr(start));
}

std::vector<TitledReport> titled_reports(Lines lines) {
  std::vector<TitledReport> reports;
  if (lines.empty()) return reports;
  for (const Lines report : cut_reports(lines)) {
    const std::string title = report_title(report);
    const auto same = std::ranges::find(reports, title, &TitledReport::title);
    if (same == reports.end()) reports.push_back({title, report, 1});
    else ++same->count;
  }
  return reports;
}

std::vector<std::string> told_once(Lines lines) {
  std::vector<std::string> told;
  for (const TitledReport& report : titled_reports(lines)) {
    told.insert(told.end(), report.lines.begin(), report.lines.end());
    if (report.count > 1) told.push_back(std::to_string(report.count) + " times: " + report.title);
  }
  return told;
}

}  // namespace faultline
