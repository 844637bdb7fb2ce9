#include "harness/executor/samples.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
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

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::int64_t number(const std::string& word) { return strtoll(word.c_str(), nullptr, 10); }

// /proc/TID works for any thread, although readdir() of /proc lists only processes.
std::string folder_of(pid_t tid) { return "/proc/" + std::to_string(tid) + "/"; }

std::vector<pid_t> tasks_of(pid_t pid) {
  std::vector<pid_t> tasks;
  DIR* directory = opendir((folder_of(pid) + "task").c_str());
  if (directory == nullptr) return tasks;
  while (const dirent* entry = readdir(directory))
    if (const pid_t tid = static_cast<pid_t>(number(entry->d_name)); tid > 0) tasks.push_back(tid);
  closedir(directory);
  std::ranges::sort(tasks);
  return tasks;
}

MachineSample machine_now() {
  MachineSample machine;
  machine.at_ns = now_ns();
  read_cpus(read_file("/proc/stat"), machine);
  machine.cpu_pressure_us = pressure_in(read_file("/proc/pressure/cpu"));
  machine.io_pressure_us = pressure_in(read_file("/proc/pressure/io"));
  machine.ios = ios_in(read_file("/proc/diskstats"));
  return machine;
}

std::vector<TaskSample> tasks_of_all(const std::vector<pid_t>& processes) {
  std::vector<TaskSample> tasks;
  for (const pid_t pid : processes)
    for (const pid_t tid : tasks_of(pid)) {
      TaskSample task;
      task.pid = pid;
      task.tid = tid;
      if (!read_stat(read_file(folder_of(tid) + "stat"), task) || task.state == 'Z' || task.state == 'X') continue;
      read_schedstat(read_file(folder_of(tid) + "schedstat"), task);
      task.switches = switches_in(read_file(folder_of(tid) + "status"));
      tasks.push_back(std::move(task));
    }
  return tasks;
}

bool is_wait(const Operation& operation) {
  return std::holds_alternative<op::Barrier>(operation) || std::holds_alternative<op::Wait>(operation);
}

// For a leader that runs no statement: what it does, and whether it waits for others.
void name_step(const ProcessRecord& record, TaskSample& task) {
  const auto step = static_cast<Step>(record.step.load());
  task.doing = step_text(step);
  task.waits = step == Step::none || step == Step::ready || step == Step::reaping;
}

// Names the process, the thread and the statement of the Program that the task stands for.
void name_task(const Program& program, const Layout& layout, const Area& area, TaskSample& task) {
  int process = -1;
  for (int i = 0; i < static_cast<int>(program.processes.size()); ++i)
    if (area.processes[i].pid.load() == task.pid) process = i;
  if (process < 0) return;
  const ProcessRecord& owner = area.processes[process];
  task.process = program.processes[process].name;
  if (owner.suspect.load() != 0) return;  // it is dying, which is work, whatever its threads were doing
  for (const int thread : layout.threads_of[process]) {
    const ThreadRecord& record = area.threads[thread];
    if (record.tid.load() != task.tid) continue;
    task.thread = program.threads[thread].name;
    const bool runs = record.begun.load() != 0 && record.done.load() == 0;
    if (const auto at = runs ? statement_of(program, layout, area, thread) : std::nullopt) {
      task.doing = at->text;
      task.waits = is_wait(at->statement.operation);
      return;
    }
    task.waits = true;
  }
  if (task.tid == task.pid) name_step(owner, task);
}

}  // namespace

std::optional<StatementAt> statement_of(const Program& program, const Layout& layout, const Area& area, int thread) {
  const std::vector<Statement>& statements = program.threads[thread].statements;
  for (int i = 0; i < static_cast<int>(statements.size()); ++i) {
    if (area.slots[layout.first_slot[thread] + i].done.load() != 0) continue;
    const Statement& statement = statements[i];
    const std::string name = statement.name.empty() ? "#" + std::to_string(i + 1) : statement.name;
    return StatementAt{statement,
                       statement.place.line > 0 ? name + " (line " + std::to_string(statement.place.line) + ")" : name};
  }
  return std::nullopt;
}

// "pid (command) state ppid ...". The command may contain any characters.
bool read_stat(std::string_view text, TaskSample& task) {
  constexpr std::size_t utime = 11, stime = 12;  // fields after the command, counted from 0
  const std::size_t open = text.find('('), close = text.rfind(')');
  if (open == text.npos || close == text.npos || close < open) return false;
  const std::vector<std::string> words = words_of(text.substr(close + 1));
  if (words.size() <= stime) return false;
  task.command = text.substr(open + 1, close - open - 1);
  task.state = words[0][0];
  static const std::int64_t tick_ns = 1'000'000'000 / sysconf(_SC_CLK_TCK);
  task.run_ns = (number(words[utime]) + number(words[stime])) * tick_ns;
  return true;
}

void read_schedstat(std::string_view text, TaskSample& task) {
  const std::vector<std::string> words = words_of(text);
  if (words.size() != 3 || number(words[2]) == 0) return;
  task.run_ns = number(words[0]);
  task.delay_ns = number(words[1]);
}

std::uint64_t switches_in(std::string_view status) {
  std::uint64_t switches = 0;
  for (const std::string& line : lines_of(status))
    if (line.find("voluntary_ctxt_switches:") != line.npos)
      switches += static_cast<std::uint64_t>(number(line.substr(line.find(':') + 1)));
  return switches;
}

void read_cpus(std::string_view text, MachineSample& machine) {
  constexpr std::size_t steal = 8;  // "cpu user nice system idle iowait irq softirq steal guest guest_nice"
  const std::vector<std::string> words = words_of(text.substr(0, text.find('\n')));
  for (std::size_t i = 1; i <= steal && i < words.size(); ++i) machine.ticks += static_cast<std::uint64_t>(number(words[i]));
  if (words.size() > steal) machine.stolen = static_cast<std::uint64_t>(number(words[steal]));
}

std::optional<std::int64_t> pressure_in(std::string_view text) {
  const std::vector<std::string> words = words_of(text.substr(0, text.find('\n')));
  if (words.empty() || words[0] != "some" || !words.back().starts_with("total=")) return std::nullopt;
  return number(words.back().substr(6));
}

std::uint64_t ios_in(std::string_view text) {
  constexpr std::size_t reads = 3, writes = 7;
  std::uint64_t ios = 0;
  for (const std::string& line : lines_of(text))
    if (const std::vector<std::string> words = words_of(line); words.size() > writes)
      ios += static_cast<std::uint64_t>(number(words[reads]) + number(words[writes]));
  return ios;
}

Sample take_sample(const Program& program, const Layout& layout, const Area& area) {
  Sample sample{machine_now(), tasks_of_all(descendants_of(area.runner_pid.load()))};
  for (TaskSample& task : sample.tasks) name_task(program, layout, area, task);
  return sample;
}

Sample take_sample(pid_t process) {
  std::vector<pid_t> processes = descendants_of(process);
  processes.insert(processes.begin(), process);
  return {machine_now(), tasks_of_all(processes)};
}

ThreadPlace place_of(const TaskSample& task) {
  const std::string base = folder_of(task.tid);
  ThreadPlace place;
  place.thread = task.thread;
  place.process = task.process;
  place.command = task.command;
  place.pid = task.pid;
  place.tid = task.tid;
  place.statement = task.doing;
  place.state = std::string(1, task.state);
  place.cpu_ms = task.run_ns / 1'000'000;
  place.wchan = read_file(base + "wchan");
  place.syscall = read_file(base + "syscall");
  place.stack = lines_of(read_file(base + "stack"));
  return place;
}

}  // namespace faultline
