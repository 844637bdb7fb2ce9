// What the kernel reports at one moment about the tasks of an iteration and about the machine.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/executor.h"
#include "harness/executor/layout.h"

namespace faultline {

// The first statement of a thread that has no result yet, and its text for a person: "r0 (line 8)".
struct StatementAt {
  const Statement& statement;
  std::string text;
};
std::optional<StatementAt> statement_of(const Program& program, const Layout& layout, const Area& area, int thread);

struct TaskSample {
  pid_t pid = 0;
  pid_t tid = 0;
  std::string process;  // name in the Program; empty for a process that a driver started
  std::string thread;   // name in the Program; empty for a thread of a driver or of the bench
  std::string command;  // the kernel's name for the task (comm)
  std::string doing;    // the statement that it is in ("r0 (line 7)"), or the step of its process; empty: unknown
  bool waits = false;   // for other threads: at a barrier, in a wait, before it starts, or after its end
  char state = '?';
  std::int64_t run_ns = 0;               // its CPU time
  std::optional<std::int64_t> delay_ns;  // the time for which it was runnable but had no CPU
  std::uint64_t switches = 0;
};

struct MachineSample {
  std::int64_t at_ns = 0;
  std::uint64_t ticks = 0;                      // of all CPUs
  std::uint64_t stolen = 0;                     // ticks of these that the host took (steal)
  std::optional<std::int64_t> cpu_pressure_us;  // time in which some task waited for a CPU
  std::optional<std::int64_t> io_pressure_us;   // time in which some task waited for a disk
  std::uint64_t ios = 0;                        // I/Os that disks completed
};

struct Sample {
  MachineSample machine;
  std::vector<TaskSample> tasks;
};

// Every task below the runner, including those of drivers.
Sample take_sample(const Program& program, const Layout& layout, const Area& area);

// Every task of one process and of those below it.
Sample take_sample(pid_t process);

// Adds where the task is in the kernel.
ThreadPlace place_of(const TaskSample& task);

// Parsers for files of /proc. For malformed text they give nothing, or false.
bool read_stat(std::string_view text, TaskSample& task);         // /proc/TID/stat
void read_schedstat(std::string_view text, TaskSample& task);    // /proc/TID/schedstat; all zero without CONFIG_SCHED_INFO
std::uint64_t switches_in(std::string_view status);              // /proc/TID/status
void read_cpus(std::string_view text, MachineSample& machine);   // /proc/stat
std::optional<std::int64_t> pressure_in(std::string_view text);  // /proc/pressure/cpu
std::uint64_t ios_in(std::string_view text);                     // /proc/diskstats

}  // namespace faultline
