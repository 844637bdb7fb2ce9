// Executes statements with real system calls and device requests.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/direct_file.h"
#include "harness/executor/files.h"
#include "harness/executor/handles.h"
#include "harness/executor/layout.h"
#include "harness/executor/userfault.h"
#include "harness/target.h"

namespace faultline {

// State that the threads of one process share. A forked child has its own copy.
struct ProcessContext {
  const Program& program;
  const Layout& layout;
  Target& target;
  Area& area;
  const std::vector<int>& cpus;     // the CPUs that the run may use
  bool oversubscribed = false;      // more threads than CPUs: a thread must not spin without yielding
  bool crowded = false;             // no CPU is left for the runner: a thread that waits for the runner must not spin
  bool faults_end_process = false;  // device faults end the process
  bool unasked = false;             // Layout::unasked is in force
  int process = -1;
  Handles handles;
  Files files;
  DirectFile direct_file;
  Userfault userfault;
};

// Whether the forked process ends when all threads of the scenario are done and it has answered. One without threads might not
// even have begun by then.
inline bool ends_by_itself(const ProcessContext& context, int process) {
  return context.unasked && context.layout.opens[process].empty() && !context.layout.threads_of[process].empty();
}

// Whether the leader of the root may run several iterations on its own (turns.h).
inline bool unattended(const ProcessContext& context) { return context.unasked && context.layout.unattended; }

// mmap(MAP_FIXED), for a region or an mmap statement. False with errno set on failure.
bool map_fixed(const ProcessContext& context, PageRange range, Backing backing, Protection protection, int file);

// One thread in one iteration.
struct ThreadRun {
  ProcessContext& context;
  int thread;
  std::uint64_t iteration;
  int next_offset;  // in Area::offsets
  int slot = 0;     // in Area::slots, of the current statement
};

SeenResult errno_result(int error);  // 0: success
// The result of a request to a device. ENODEV is not a result: it means that the device is gone, and ends the run.
SeenResult device_errno(const ThreadRun& run, int error);
void record(Slot& slot, const SeenResult& result);

// Waits until the thread's offset after `origin_ns`, runs all its statements, and marks it done. Returns early if the area
// was aborted. Does not return after an `exit`.
void run_statements(ProcessContext& context, int thread, std::int64_t origin_ns);

// Puts the calling thread on the CPU that the parameters name for `thread`.
void place_thread(const ProcessContext& context, int thread);

// One guarded CPU load, for an operation or an observe.
SeenResult load_result(std::uintptr_t address);

}  // namespace faultline
