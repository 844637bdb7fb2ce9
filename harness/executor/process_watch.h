// Whether a process is dead: its last thread has left, and its memory and files are gone, though nobody
// may have waited for it yet. (The kernel makes a pidfd readable in exit_notify, which comes after exit_mm,
// exit_files and the task work that closes devices.)
#pragma once

#include <sys/types.h>

#include <vector>

namespace faultline {

bool is_dead(pid_t pid);
bool wait_for_death(pid_t pid, int longest_ms);

// How a dead child of the caller ended, which stays to be waited for.
struct Ending {
  enum class Kind {
    unknown,  // no child of the caller
    exit,     // `code` is the status
    signal,   // `code` is the signal
  };
  Kind kind = Kind::unknown;
  int code = 0;
};
Ending ending_of(pid_t child);

// Children of `parent` that /proc lists now, and all below it. Slow; for rare cases: a fork that was cut short, a hang.
std::vector<pid_t> children_of(pid_t parent);
std::vector<pid_t> descendants_of(pid_t parent);

}  // namespace faultline
