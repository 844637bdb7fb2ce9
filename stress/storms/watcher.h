// Waits for processes of a storm to end, and tells a hang from a slow machine (harness/executor/evidence.h).
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>

#include "harness/executor/executor.h"
#include "stress/storms/board.h"

namespace faultline::storms {

struct Wait {
  pid_t process = -1;  // with everything below it
  std::uint64_t round = 0;
  const char* doing = "";  // "to end its accesses", for a person
  int deadline_ms = 5000;
  std::int64_t usual_ns = 0;  // how long it took at most in this storm; 0: it is the first time
};

// Waits up to so many ms. Whether it is over.
using Over = std::function<bool(int longest_ms)>;

// Waits until it is over. If that takes longer than the deadline, watches until there is evidence that it never will, for two
// minutes at most. Nothing if it is over; otherwise a hang, or (slow) that the machine allows no verdict. Kills nothing.
std::optional<Hang> await_end(const Wait& wait, const Board& board, const Over& over, const std::function<void()>& breathe);

// Kills the process and everything below it, and reaps what is a child of the caller. Nothing, or a hang: what survives.
std::optional<Hang> kill_all(const Wait& wait, const Board& board, const std::function<void()>& breathe);

}  // namespace faultline::storms
