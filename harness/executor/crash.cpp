#include "harness/executor/crash.h"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "harness/driver_call.h"
#include "harness/executor/samples.h"

namespace faultline {
namespace {

std::string name_of(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

// Where the thread is in the iteration. Before the threads start and after they end, only the leader does anything.
std::string where(const Program& program, const Layout& layout, const Area& area, int thread) {
  if (area.started.get() != area.round.get()) return "in the set-up of the iteration";
  if (thread < 0 || area.threads[thread].done.load() != 0) return "in the observation of the end";
  const auto at = statement_of(program, layout, area, thread);
  return at ? "at " + at->text : "after its statements";
}

// The driver functions that threads of the process are in.
std::vector<DriverPlace> places(const Program& program, const Layout& layout, const Area& area, int process) {
  std::vector<DriverPlace> found;
  for (int thread : layout.threads_of[process])
    if (const char* function = area.threads[thread].call.load())
      found.push_back({function, program.threads[thread].name, where(program, layout, area, thread)});
  if (const char* function = area.processes[process].call.load())
    found.push_back({function, program.processes[process].name, where(program, layout, area, -1)});
  return found;
}

std::string taken(const FatalSignal& told) {
  std::string text = "took " + name_of(told.signal);
  if (!told.addressed) return text;
  char address[32];
  std::snprintf(address, sizeof address, " at address 0x%zx", static_cast<std::size_t>(told.address));
  return text + address;
}

std::string sender_text(int pid) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return "process " + std::to_string(pid) + (name.empty() ? "" : " (" + name + ")");
}

std::string by_nobody(const Program& program, int process) {
  return "process " + program.processes[process].name + " was ended by nobody in the scenario";
}

}  // namespace

Death death_by_signal(const Program& program, const Layout& layout, const Area& area) {
  const FatalSignal& told = area.fatal_signal;
  const std::string process = by_nobody(program, told.process);
  if (told.sender >= 0) return {{}, process + ": " + name_of(told.signal) + ", sent by " + sender_text(told.sender)};
  Crash crash{.what = taken(told), .in_call = !told.foreign, .places = places(program, layout, area, told.process)};
  if (told.foreign) {
    crash.what += " in a thread of its own";
    return {std::move(crash), {}};
  }
  // Only the thread that took the signal crashed. Where other threads are is irrelevant.
  const std::string& thread = told.thread >= 0 ? program.threads[told.thread].name : program.processes[told.process].name;
  std::erase_if(crash.places, [&](const DriverPlace& place) { return place.thread != thread; });
  if (!crash.places.empty()) return {std::move(crash), {}};
  return {{}, process + ": the bench itself " + crash.what + " in " + thread + " " + where(program, layout, area, told.thread)};
}

Death death_unannounced(const Program& program, const Layout& layout, const Area& area, int process, const Ending& ending,
                        bool killed_for_memory) {
  const std::string died = by_nobody(program, process);
  if (ending.kind == Ending::Kind::unknown) return {{}, died};
  const bool exit = ending.kind == Ending::Kind::exit;
  const std::string how = exit ? "status " + std::to_string(ending.code) : name_of(ending.code);
  if (exit || std::ranges::find(crash_signals, ending.code) != crash_signals.end()) {
    Crash crash{.what = "ended the process with " + how, .places = places(program, layout, area, process)};
    if (!crash.places.empty()) return {std::move(crash), {}};
    return {{}, died + ": it ended with " + how};
  }
  if (ending.code == SIGKILL && killed_for_memory)
    return {{},
            died +
                ": SIGKILL, and the kernel has killed for want of memory (oom_kill in /proc/vmstat); would help: more "
                "memory, or less beside the run"};
  return {{}, died + ": " + how + ", which a person or a program outside has sent"};
}

std::uint64_t processes_killed_for_memory() {
  std::ifstream file("/proc/vmstat");
  std::uint64_t count = 0;
  for (std::string name; file >> name >> count;)
    if (name == "oom_kill") return count;
  return 0;
}

}  // namespace faultline
