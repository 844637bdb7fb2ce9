// What the kernel tells at one moment of the tasks of an iteration, and of the machine that they run on.
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

// The first statement of a thread without a result, and its text as a person finds it: "r0 (line 8)".
struct StatementAt {
  const Statement& statement;
  std::string text;
};
std::optional<StatementAt> statement_of(const Program& program, const Layout& layout, const Area& area, int thread);

struct TaskSample {
  pid_t pid = 0;
  pid_t tid = 0;
  std::string process;  // its name in the Program; empty for a process that a driver has started
  std::string thread;   // likewise; empty for a thread of a driver, and of the bench
  std::string command;  // as the kernel calls it
  std::string doing;    // the statement that it is in ("r0 (line 7)"), or the step of its process; empty: not known
  bool waits = false;   // for others, by what it does: at a barrier, in a wait, before its start, behind its end
  char state = '?';
  std::int64_t run_ns = 0;               // its CPU time
  std::optional<std::int64_t> delay_ns;  // that it was runnable and had no CPU
  std::uint64_t switches = 0;
};

struct MachineSample {
  std::int64_t at_ns = 0;
  std::uint64_t ticks = 0;                      // of all CPUs
  std::uint64_t stolen = 0;                     // of these, those that the host took for itself
  std::optional<std::int64_t> cpu_pressure_us;  // in which some task waited for a CPU
  std::optional<std::int64_t> io_pressure_us;   // in which some task waited for a disk
  std::uint64_t ios = 0;                        // that disks have done
};

struct Sample {
  MachineSample machine;
  std::vector<TaskSample> tasks;
};

// Every task below the runner, those of drivers too.
Sample take_sample(const Program& program, const Layout& layout, const Area& area);

// Every task of one process and of those below it.
Sample take_sample(pid_t process);

// With where it is in the kernel.
ThreadPlace place_of(const TaskSample& task);

// Texts of /proc. Nothing, and false, where they are not as they should be.
bool read_stat(std::string_view text, TaskSample& task);         // /proc/TID/stat
void read_schedstat(std::string_view text, TaskSample& task);    // /proc/TID/schedstat; all zero without CONFIG_SCHED_INFO
std::uint64_t switches_in(std::string_view status);              // /proc/TID/status
void read_cpus(std::string_view text, MachineSample& machine);   // /proc/stat
std::optional<std::int64_t> pressure_in(std::string_view text);  // /proc/pressure/cpu
std::uint64_t ios_in(std::string_view text);                     // /proc/diskstats

}  // namespace faultline
