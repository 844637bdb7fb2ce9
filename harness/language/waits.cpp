#include "harness/language/waits.h"

#include <algorithm>
#include <string>

#include "harness/language/printer.h"
#include "harness/outcome.h"
#include "harness/queries.h"

namespace faultline {
namespace {

// Runs every thread as far as its barriers let it. The order of the steps does not matter, because arrivals never decrease.
class Meeting {
 public:
  explicit Meeting(const Program& program) : program_(program), at_(program.threads.size()), born_(program.processes.size()) {
    for (std::size_t process = 0; process < born_.size(); ++process) born_[process] = program.processes[process].parent < 0;
  }

  std::vector<Waiting> stuck() {
    for (bool moved = true; moved;) {
      moved = false;
      for (int thread = 0; thread < threads(); ++thread)
        while (here(thread) && at_[thread] < statements(thread).size() && passes(thread)) {
          ++at_[thread];
          moved = true;
        }
    }
    std::vector<Waiting> waiting;
    for (int thread = 0; thread < threads(); ++thread)
      if (here(thread) && at_[thread] < statements(thread).size()) waiting.push_back({thread, static_cast<int>(at_[thread])});
    return waiting;
  }

 private:
  int threads() const { return static_cast<int>(program_.threads.size()); }
  const std::vector<Statement>& statements(int thread) const { return program_.threads[thread].statements; }
  bool here(int thread) const { return born_[program_.threads[thread].process]; }

  bool passes(int thread) {
    const Operation& operation = statements(thread)[at_[thread]].operation;
    if (const auto* fork = std::get_if<op::Fork>(&operation)) born_[fork->process] = true;
    if (const auto* wait = std::get_if<op::Wait>(&operation)) return may_end(wait->process);
    const auto* barrier = std::get_if<op::Barrier>(&operation);
    return !barrier || all_there(thread, barrier->barrier);
  }

  // The same condition as in meet() (executor/meeting.cpp).
  bool all_there(int thread, int barrier) const {
    const auto mine = uses(thread, barrier, at_[thread] + 1);
    for (int other = 0; other < threads(); ++other) {
      const auto wanted = std::min(mine, uses(other, barrier, statements(other).size()));
      const auto come = here(other) ? uses(other, barrier, at_[other] + 1) : 0;
      if (come < wanted && !may_be_gone(program_.threads[other].process)) return false;
    }
    return true;
  }

  // How many of the thread's first `first` statements name the barrier.
  std::ptrdiff_t uses(int thread, int barrier, std::size_t first) const {
    const auto begin = statements(thread).begin();
    return std::count_if(begin, begin + static_cast<std::ptrdiff_t>(std::min(first, statements(thread).size())),
                         [barrier](const Statement& statement) {
                           const auto* named = std::get_if<op::Barrier>(&statement.operation);
                           return named && named->barrier == barrier;
                         });
  }

  // Whether the process may be dead, or may never exist because its forker died first.
  bool may_be_gone(int process) const {
    for (; process >= 0; process = program_.processes[process].parent)
      if (may_end(process)) return true;
    return false;
  }

  // Whether the process may end: by `exit`, by a `kill`, or by a fatal device fault. Having run all its statements does not end
  // a process, because it must answer observes.
  bool may_end(int process) const {
    const bool fatal = !program_.devices.empty() && program_.devices.front().device_class == DeviceClass::fatal_faults;
    return std::ranges::any_of(program_.threads, [&](const Thread& thread) {
      return std::ranges::any_of(thread.statements, [&](const Statement& statement) {
        const auto* kill = std::get_if<op::Kill>(&statement.operation);
        if (kill && kill->process == process) return true;
        if (thread.process != process) return false;
        return std::holds_alternative<op::Exit>(statement.operation) || (fatal && is_device_access(statement.operation));
      });
    });
  }

  const Program& program_;
  std::vector<std::size_t> at_;  // by thread: the statement that it has reached
  std::vector<bool> born_;
};

const Statement& statement_of(const Program& program, Waiting waiting) {
  return program.threads[waiting.thread].statements[waiting.statement];
}

std::string line_of(const Statement& statement) {
  return statement.place.line > 0 ? " (line " + std::to_string(statement.place.line) + ")" : "";
}

// "'P.u' is at 'barrier go' (line 9)"
std::string where(const Program& program, Waiting waiting) {
  const Thread& thread = program.threads[waiting.thread];
  std::string text = print(program, thread, statement_of(program, waiting));
  text = text.substr(std::min(text.find_first_not_of(' '), text.size()));
  while (text.ends_with('\n')) text.pop_back();
  return "'" + thread.name + "' is at '" + text + "'" + line_of(statement_of(program, waiting));
}

// The forks that a waiting thread never reaches.
std::vector<std::string> not_forked(const Program& program, Waiting waiting) {
  std::vector<std::string> texts;
  const std::vector<Statement>& statements = program.threads[waiting.thread].statements;
  for (std::size_t i = static_cast<std::size_t>(waiting.statement) + 1; i < statements.size(); ++i)
    if (const auto* fork = std::get_if<op::Fork>(&statements[i].operation))
      texts.push_back("'" + program.processes[fork->process].name + "' is not forked yet" + line_of(statements[i]));
  return texts;
}

}  // namespace

std::vector<Waiting> wait_for_ever(const Program& program) { return Meeting(program).stuck(); }

Diagnostic endless_wait(const Program& program, const Source& source, const std::vector<Waiting>& waiting, bool certain) {
  const Waiting first = waiting.front();
  std::vector<std::string> others;
  for (const Waiting& each : waiting) {
    if (each != first) others.push_back(where(program, each));
    for (const std::string& text : not_forked(program, each)) others.push_back(text);
  }
  const Statement& statement = statement_of(program, first);
  const auto* wait = std::get_if<op::Wait>(&statement.operation);
  const auto* barrier = std::get_if<op::Barrier>(&statement.operation);
  std::string word, reasons;
  std::string cure = "use barriers in the same order in all threads, and fork a process before the first barrier that it uses";
  if (wait) word = program.processes[wait->process].name;
  if (barrier) word = program.barriers[barrier->barrier];
  if (!wait && !barrier) {  // the access of a page that is registered with the process's userfaultfd
    const std::vector<PageRange> pages = std::visit([](const auto& o) { return pages_of(o); }, statement.operation);
    if (!pages.empty()) word = program.regions[pages.front().region].name;
    reasons = "nothing resolves or wakes its userfault";
    cure =
        "another thread of the process resolves a fault by uffd-copy, uffd-zero, uffd-unprotect or uffd-unregister, and ends "
        "the wait alone by uffd-wake; an 'exit' or a 'kill' ends it too";
  }
  if (wait) cure = "end '" + word + "' by an 'exit', or by a 'kill " + word + "' that does not come after this wait";
  if (wait && others.empty()) reasons = "nothing ends '" + word + "', which stays when its statements have run";
  for (const std::string& each : others) reasons += (reasons.empty() ? "" : "; ") + each;
  return source.about(statement.place, word, (certain ? "waits for ever: " : "may wait for ever: ") + reasons, cure);
}

}  // namespace faultline
