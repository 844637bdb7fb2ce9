// What the executor does to one iteration, so that threads meet where they rarely meet by themselves.
//
// Most disturbances take time from a thread, and nothing else. So they change no allowed outcome: whatever a thread does late, it
// might have done late on a busy machine. Reclaim takes pages away, and the kernel must bring them back with their values; move
// copies them, as compaction does, which itself finds no reason to move a page that was just made. The reference knows nothing of
// both, so they disturb only Programs whose outcomes cannot tell (bears_page_changes): a snapshot, a page's place, or a migration
// that fails because somebody holds the page would be called forbidden.
//
// Other pressure is no disturbance. Under a hard memcg limit each call may give ENOMEM, above a soft one each thread sleeps for up to two
// seconds. KSM has nothing to merge: a page says where and when it was stored (value.h), so no two are equal. Huge pages are statements of the
// language. SCHED_IDLE and a lower priority are none either, because beside
// other load such a thread would get no CPU for seconds, and each iteration would take as long.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "harness/program.h"

namespace faultline {

struct Disturbance {
  enum class Kind : std::uint8_t {
    stall,    // thread `whom` spins for `ns` before its statement `where`. It keeps its CPU, and what the TLB holds
    nap,      // the same, but it sleeps: its CPU is free for another thread
    preempt,  // somebody else takes CPU `whom` for `ns` and leaves it for `gap_ns`, by turns, until the threads have ended or
              // longest_taken_ns have been taken; also in the middle of a system call
    signals,  // thread `whom` gets a signal every `ns`: in page faults, in requests to devices
    reclaim,  // from `gap_ns` after the start on, all pages of process `whom` are paged out (MADV_PAGEOUT) every `ns`
    move,     // the same, but they are moved to the other memory node, and back (move_pages)
  };
  Kind kind = Kind::stall;
  int whom = 0;   // a thread of the Program; preempt: an index into the CPUs that the agent may use; reclaim, move: a process
  int where = 0;  // stall, nap: a statement's index; otherwise 0
  std::int64_t gap_ns = 0;  // preempt, reclaim, move; otherwise 0
  std::int64_t ns = 0;
  friend bool operator==(const Disturbance&, const Disturbance&) = default;
};

inline constexpr int disturbance_kinds = 6;
inline constexpr int most_disturbances = 4;  // of an iteration
inline constexpr std::int64_t longest_taken_ns = 200'000'000;

const char* word(Disturbance::Kind kind);

// What can be done to pages here. The target bears it.
struct PageMeans {
  bool swap = false;   // for reclaim
  bool nodes = false;  // two nodes of memory, for move
  friend bool operator==(const PageMeans&, const PageMeans&) = default;
};

// What the draws depend on besides the seed: this machine, the target, and how long iterations take here.
struct Circumstances {
  int cpus = 1;
  std::int64_t longest_offset_ns = 20'000;  // measure_longest_offset_ns()
  std::int64_t statements_ns = 0;           // the statements of an iteration on average; 0: not known yet
  std::int64_t iteration_ns = 0;            // the whole iteration; 0: not known yet
  bool signals = false;                     // Target::takes_signals()
  PageMeans pages;
};

// Disturbances of this kind for one iteration: one or two of them, of threads and statements that bear them; none if no thread
// does. Lengths are log-uniform: from nanoseconds to some milliseconds, and to two seconds for one in ten of the naps. `cpu` is
// the one that is taken. The longer, the rarer: on average an iteration becomes longer by a twenty-fifth at most.
std::vector<Disturbance> draw_disturbances(Disturbance::Kind kind, const Program& program, const Circumstances& here, int cpu,
                                           std::mt19937_64& random);

// Whether every operation of the thread starts again by itself after a signal, or cannot be interrupted by one.
bool bears_signals(const Thread& thread);

// Whether it takes away or copies pages.
bool changes_pages(Disturbance::Kind kind);

// Whether an outcome cannot tell whether a page was paged out and brought back, or moved.
bool bears_page_changes(const Program& program);

// Empty if the disturbances of an iteration fit the program and the number of CPUs; otherwise what is wrong with them.
std::string misfit(std::span<const Disturbance> disturbances, const Program& program, int cpus);

// How much later the threads of the iteration may end because of them.
std::int64_t delay_ns(std::span<const Disturbance> disturbances);

// For a report: "P.gpu stalls for 1.2 ms before #2".
std::string text(const Disturbance& disturbance, const Program& program);

// Numbers that are the same with every C++ library, unlike those of the standard distributions.
int below(std::mt19937_64& random, int bound);
double unit(std::mt19937_64& random);  // in [0, 1)
std::int64_t log_uniform(std::mt19937_64& random, std::int64_t shortest, std::int64_t longest);

}  // namespace faultline
