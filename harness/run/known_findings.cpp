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

// Whether the stack has these functions in this order, others may be between them.
bool has_chain(const std::vector<std::string>& stack, std::initializer_list<std::string_view> chain) {
  auto next = chain.begin();
  for (const std::string& function : stack) next += next != chain.end() && function == *next;
  return next == chain.end();
}

// Whether the task waits for the lock of all queues (dqm_lock()).
bool waits_for_queues(const std::vector<std::string>& stack) {
  static const std::set<std::string> users{"register_process",
                                           "unregister_process",
                                           "create_queue_nocpsch",
                                           "update_queue",
                                           "destroy_queue_nocpsch",
                                           "evict_process_queues_nocpsch",
                                           "restore_process_queues_nocpsch",
                                           "process_termination_nocpsch",
                                           "set_cache_memory_policy",
                                           "get_wave_state",
                                           "kfd_sdma_activity_worker"};
  const auto is_lock = [](const std::string& function) { return function.find("mutex_lock") != function.npos; };
  const auto lock = std::ranges::find_if(stack, is_lock);
  const auto user = std::find_if_not(lock, stack.end(), is_lock);
  return user != stack.end() && users.contains(*user);
}

// Hung tasks: the work item that waits for itself, and only such as wait for it.
bool is_self_wait(Lines report) {
  if (!reports_only(report, {"INFO: task "})) return false;
  bool waits_for_itself = false;
  for (auto task = std::ranges::find_if(report, is_hung_task); task != report.end();) {
    const auto next = std::find_if(task + 1, report.end(), is_hung_task);
    const std::vector<std::string> stack = functions_of({task, next});
    task = next;
    if (has_chain(stack, {"cancel_delayed_work_sync", "kfd_process_notifier_release", "mmput", "restore_process_queues_nocpsch",
                          "restore_process_worker"}))
      waits_for_itself = true;
    else if (!has_chain(stack, {"flush_delayed_work", "evict_process_worker"}) && !waits_for_queues(stack)) return false;
  }
  return waits_for_itself;
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
    KnownFinding{.name = "self-wait",
                 .target = "amdgpu",
                 .what = "a work item that gives queues back waits for itself: their process died meanwhile. No queue can be "
                         "made until the machine is started again",
                 .since = "6.1",
                 .fixed_in = "",
                 .ends_machine = true,
                 .is = is_self_wait},
};

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
  for (const Lines report : cut_reports(lines)) {
    const auto known = std::ranges::find_if(
        table, [&](const KnownFinding& finding) { return has_finding(finding, target, kernel) && finding.is(report); });
    if (known != table.end()) sorted.known.push_back(&*known);
    else sorted.other.insert(sorted.other.end(), report.begin(), report.end());
  }
  return sorted;
}

}  // namespace faultline
