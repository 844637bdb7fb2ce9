// Whether a process is dead: its last thread has exited, and its mm and files are gone. It may still be a zombie. (The
// kernel makes a pidfd readable in exit_notify(), after exit_mm(), exit_files() and the task work that closes devices.)
#pragma once

#include <sys/types.h>

#include <vector>

namespace faultline {

bool is_dead(pid_t pid);
bool wait_for_death(pid_t pid, int longest_ms);

// How a dead child of the caller ended. ending_of() does not reap the child.
struct Ending {
  enum class Kind {
    unknown,  // not a dead child of the caller
    exit,     // `code` is the status
    signal,   // `code` is the signal
  };
  Kind kind = Kind::unknown;
  int code = 0;
};
Ending ending_of(pid_t child);

// The children of `parent` that /proc lists now, and all its descendants. Slow; for rare cases such as an interrupted fork or a
// hang.
std::vector<pid_t> children_of(pid_t parent);
std::vector<pid_t> descendants_of(pid_t parent);

}  // namespace faultline
