#include "harness/executor/hang.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "harness/executor/process_watch.h"

namespace faultline {
namespace {

std::string read_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  close(fd);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.pop_back();
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The state letter follows the command in parentheses, which may hold anything.
std::string state_of(const std::string& stat) {
  const std::size_t close = stat.rfind(')');
  return close == std::string::npos || close + 2 >= stat.size() ? std::string() : stat.substr(close + 2, 1);
}

int control_child() {
  constexpr std::size_t page = 4096;
  void* memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto* cell = static_cast<volatile int*>(memory);
  *cell = 7;
  const pid_t child = fork();
  if (child == 0) _exit(*cell == 7 ? 0 : 1);
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}

}  // namespace

std::string statement_of(const Program& program, const Layout& layout, const Area& area, int thread) {
  const std::vector<Statement>& statements = program.threads[thread].statements;
  for (int i = 0; i < static_cast<int>(statements.size()); ++i) {
    if (area.slots[layout.first_slot[thread] + i].done.load() != 0) continue;
    std::string text = statements[i].name.empty() ? "#" + std::to_string(i + 1) : statements[i].name;
    if (statements[i].place.line > 0) text += " (line " + std::to_string(statements[i].place.line) + ")";
    return text;
  }
  return {};
}

std::vector<ThreadPlace> sample_threads(const Program& program, const Layout& layout, const Area& area) {
  std::vector<ThreadPlace> places;
  for (int thread = 0; thread < static_cast<int>(program.threads.size()); ++thread) {
    const ThreadRecord& record = area.threads[thread];
    if (record.tid.load() == 0) continue;
    ThreadPlace place;
    place.thread = program.threads[thread].name;
    place.tid = record.tid.load();
    if (record.done.load() == 0) place.statement = statement_of(program, layout, area, thread);
    // Any thread can be looked up by its id directly below /proc, though it is not listed there.
    const std::string base = "/proc/" + std::to_string(place.tid) + "/";
    place.state = state_of(read_file(base + "stat"));
    place.wchan = read_file(base + "wchan");
    place.syscall = read_file(base + "syscall");
    place.stack = lines_of(read_file(base + "stack"));
    places.push_back(std::move(place));
  }
  return places;
}

bool moved_on(const std::vector<ThreadPlace>& before, const std::vector<ThreadPlace>& after) {
  if (before.size() != after.size()) return true;
  for (std::size_t i = 0; i < before.size(); ++i)
    if (before[i].statement != after[i].statement || before[i].tid != after[i].tid) return true;
  return false;
}

bool control_iteration(int longest_ms) {
  const pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) _exit(control_child());
  if (!wait_for_death(pid, longest_ms)) {
    kill(pid, SIGKILL);
    return false;
  }
  int status = 1;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

}  // namespace faultline
