// The memory that the processes of a storm share with the process that watches them. What a process noted survives its death.
// It holds only fixed-size records, and is all zero at the start.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "harness/shared.h"
#include "harness/storm.h"

namespace faultline::storms {

// The calls whose time is measured.
enum class Call {
  unmap,
  protect,
  fork,
  drop,
  to_device,
  to_system,
  cow_store,
  exit,
  sigkill,
  exec,
  close,
  tree,
};
inline constexpr std::array call_names = {
    "munmap",           "mprotect", "fork",    "MADV_DONTNEED", "migrate to device",   "migrate back",
    "store after fork", "exit",     "SIGKILL", "exec",          "close of the device", "SIGKILL of a tree"};

enum class Count {
  accesses,  // by the device
  faulted,   // of these, as far as the target can tell
  refused,   // of these
  cpu,       // accesses by the CPU
  processes,
  pins,
  checks,  // values that were compared with the only one possible
};
inline constexpr std::array count_names = {"device accesses", "device faults", "refused accesses", "CPU accesses",
                                           "processes",       "pins",          "exact checks"};

// Exit status of a process of a storm: the device cannot be opened, or there is no memory.
inline constexpr int cannot_start = 3;

inline constexpr int most_wrong = 8;
inline constexpr int most_pages = most_threads;

// How far a thread is: its task and how many accesses it has begun.
struct Progress {
  std::atomic<int> tid;
  std::atomic<std::uint32_t> steps;
};

struct Board {
  std::atomic<bool> stop;               // finish the access and end
  std::atomic<bool> park;               // bring migrated pages back, and stay away from them
  std::atomic<int> parked;              // threads that do so
  std::atomic<int> ready;               // threads that have begun
  std::atomic<int> outstanding;         // device accesses
  std::atomic<std::int64_t> ending_ns;  // when the process began to end itself; 0: it did not, in the way it was to
  std::atomic<int> ending_queue;        // device accesses outstanding then
  std::atomic<bool> ends;               // the process is about to end itself, or waits to be killed
  std::array<std::atomic<std::uint64_t>, count_names.size()> counts;
  std::array<std::array<Durations, queue_classes>, call_names.size()> durations;
  std::array<Progress, most_threads + 64> progress;

  // From a process to the child that it has just forked: no store that began later may show in the child.
  std::array<std::atomic<std::uint64_t>, most_pages> newest;
  std::atomic<std::uint32_t> forks;  // for this child the above is complete

  std::atomic<int> wrongs;
  std::array<std::array<char, 256>, most_wrong> wrong;
  std::array<std::atomic<bool>, most_wrong> wrong_complete;

  void add(Count count, std::uint64_t more = 1) {
    counts[static_cast<std::size_t>(count)].fetch_add(more, std::memory_order_relaxed);
  }
  void note(Call call, int queue_length, std::int64_t ns) {
    durations[static_cast<std::size_t>(call)][static_cast<std::size_t>(queue_class(queue_length))].note(
        static_cast<std::uint64_t>(ns > 0 ? ns : 0));
  }
  // Keeps the first few. Async-signal-safe enough for a child of a process with threads: it allocates nothing.
  [[gnu::format(printf, 2, 3)]] void say_wrong(const char* format, ...);
  // Moves everything that was noted since the last call into `news`.
  void take(StormNews& news);
  // For the next process. Keeps what take() has not taken.
  void clear_for_next();
};

using SharedBoard = Shared<Board>;

// A device access that is counted as outstanding while this lives.
class Outstanding {
 public:
  explicit Outstanding(Board& board) : board_(board) { board_.outstanding.fetch_add(1, std::memory_order_relaxed); }
  ~Outstanding() { board_.outstanding.fetch_sub(1, std::memory_order_relaxed); }
  Outstanding(const Outstanding&) = delete;
  Outstanding& operator=(const Outstanding&) = delete;

 private:
  Board& board_;
};

}  // namespace faultline::storms
