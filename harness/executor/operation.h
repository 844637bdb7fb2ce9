// One statement, done for real by the thread that runs it.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/direct_file.h"
#include "harness/executor/files.h"
#include "harness/executor/handles.h"
#include "harness/executor/layout.h"
#include "harness/target.h"

namespace faultline {

// What every thread of one process shares. A forked child works on its own copy of it.
struct ProcessContext {
  const Program& program;
  const Layout& layout;
  Target& target;
  Area& area;
  const std::vector<int>& cpus;     // that the run may use
  bool oversubscribed = false;      // more threads than CPUs: nobody may spin without yielding
  bool crowded = false;             // no CPU is left for the runner: whoever waits for it must make room
  bool faults_end_process = false;  // those of a device
  int process = -1;
  Handles handles;
  Files files;
  DirectFile direct_file;
};

// mmap(MAP_FIXED) of what a region or an mmap statement maps. False with errno set.
bool map_fixed(const ProcessContext& context, PageRange range, Backing backing, Protection protection, int file);

// One thread in one iteration.
struct ThreadRun {
  ProcessContext& context;
  int thread;
  std::uint64_t iteration;
  int next_offset;  // in Area::offsets
  int slot = 0;     // in Area::slots, of the statement that it is at
};

SeenResult errno_result(int error);  // 0: it worked
// Of a request to a device. That it is gone, ENODEV, is no outcome but ends the run.
SeenResult device_errno(const ThreadRun& run, int error);
void record(Slot& slot, const SeenResult& result);

// Runs all statements of the thread, from its offset after `origin_ns` on, and marks it done. Returns
// early when the area was aborted; does not return from an `exit`.
void run_statements(ProcessContext& context, int thread, std::int64_t origin_ns);

// Puts the calling thread on the CPU that the parameters name for `thread`.
void place_thread(const ProcessContext& context, int thread);

// One guarded CPU load, as an operation and as an observe.
SeenResult load_result(std::uintptr_t address);

}  // namespace faultline
