// A process with many threads, each of which makes device accesses to a page of its own, while its main thread changes the
// mapping. Each thread checks every value. At last the process ends itself, or is killed.
//
// What is known of a page's content: stores come from its thread only, so a load gives the last one, or 0 if the page was
// dropped (munmap, MADV_DONTNEED) after it. A load that began after the drop gives 0. While no call changes what may be done
// with a page, an access must succeed, or fail, accordingly.
//
// test_hmm's known bugs (harness/run/known_bugs.h) forbid some things here. Pages that migrate are in a region that fork()
// does not copy, each between pages that nothing touches; the device does not access them until the CPU has brought them
// back; and they are in system memory before a process closes the device and lives on.
#pragma once

#include <cstdint>

#include "harness/target.h"
#include "stress/storms/board.h"

namespace faultline::storms {

enum class Ending { killed, exit, exec, close };
inline constexpr int endings = 4;

struct VictimPlan {
  int threads = 1;
  std::uint64_t seed = 0;
  std::int64_t work_ns = 0;  // from the start of the last thread
  int least_changes = 0;     // of the mapping, however long they take
  Ending ending = Ending::killed;
};

// Runs in a process of its own and never returns. It ends with status 0, unless it is killed. With Ending::killed it works for
// work_ns, sets Board::ends, and goes on until it is killed.
[[noreturn]] void be_victim(const VictimPlan& plan, Target& target, Board& board);

}  // namespace faultline::storms
