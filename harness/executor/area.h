// The memory that the runner and every process under test share.
//
// It is mapped MAP_SHARED before the first fork, so that what a process wrote survives when the process is killed. It holds
// only fixed-size records; nothing in it is ever allocated. All of it is zero at the start. Everything that two
// processes access at the same time is atomic.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>

#include "harness/executor/disturbance.h"
#include "harness/program.h"
#include "harness/shared.h"
#include "harness/target.h"
#include "harness/times.h"

namespace faultline {

// Result of one statement, before its conversion to text.
struct SeenResult {
  enum class Kind : std::uint8_t {
    errno_value,  // `code` is an errno, 0 for "ok"
    signal,       // `code` is the signal
    word,         // `word` is what a load found
    letters,      // `bytes` hold `code` snapshot bytes
    exited,       // wait: the child called _exit
    killed,       // wait: the child died of SIGKILL
  };
  Kind kind = Kind::errno_value;
  std::uint8_t faulted = 0;  // device loads and stores that succeeded: the fault path ran
  std::uint8_t faults_known = 0;
  std::int32_t code = 0;
  std::uint64_t word = 0;
  std::array<unsigned char, limits::pages_per_request> bytes{};
};

// A futex word that threads of several processes sleep on. A process that is killed while it sleeps leaves `sleepers` too
// high. That costs needless wake-ups and nothing else.
struct Word {
  std::atomic<std::uint32_t> value;
  std::atomic<std::uint32_t> sleepers;
  std::atomic<std::uint32_t> spins;        // calls of spin()
  std::atomic<std::uint32_t> spin_for_ns;  // how long the next one spins

  std::uint32_t get() const { return value.load(std::memory_order_acquire); }
  void set(std::uint32_t next);  // stores and wakes all
  void bump();                   // adds one and wakes all
  // Sleeps while the value is `old`, for `longest_ns` at most and never longer than 1 s. May return early, so check again.
  void sleep_while(std::uint32_t old, std::int64_t longest_ns);
  // Spins until `ready()`. False if that was in vain. Twice as long as the last time that it helped, half as long as the last time
  // that it did not; now and then as long as can help at all.
  template <typename Ready>
  bool spin(Ready ready);
};

struct Slot {
  std::atomic<std::uint32_t> done;  // 1 when `result` is valid (release)
  SeenResult result;
};

enum class Life : std::uint32_t {
  unborn,
  forking,  // a thread is inside fork() for it, or was killed there
  born,
  failed,  // fork() failed
};

// Whether a thread of the scenario ends the process. It is recorded before the kill or exit, because the thread that does
// it may itself be killed in between.
enum class Suspect : std::uint32_t {
  no,
  tried,   // a thread is about to kill the process
  doomed,  // the process is exiting, or was sent SIGKILL: it is sure to die
};

// What a process's leader is doing when it runs no statement.
enum class Step : std::uint32_t {
  none,
  reaping,    // waits for children of the last iteration, which the runner has killed
  freeing,    // frees the buffers of the last iteration,
  closing,    // closes its devices
  unmapping,  // and removes its mappings
  files,
  mapping,
  opening,     // devices: a driver may compile its kernels here
  allocating,  // buffers of the devices
  ready,       // waits for the other roots, or has no thread to run
  looking,     // answers the runner at the end
  observing,
};
const char* step_text(Step step);

struct ProcessRecord {
  std::atomic<int> pid;                 // the child itself and its parent both write it
  std::atomic<std::uint32_t> life;      // Life
  std::atomic<std::uint32_t> suspect;   // Suspect
  std::atomic<std::uint32_t> ended;     // the runner saw that it is dead and its mm torn down
  std::atomic<std::uint32_t> reaped;    // a `wait` reaped it; its pid is meaningless now
  Word command;                         // what its leader sleeps on; the runner bumps it
  std::atomic<std::uint32_t> answered;  // equals `command` when the leader has obeyed
  std::atomic<std::uint32_t> step;      // Step
  std::atomic<std::int64_t> origin_ns;  // for a forked process: what its threads' offsets count from
  std::atomic<const char*> call;        // like ThreadRecord::call, for a leader without statements
};

struct ThreadRecord {
  std::atomic<int> tid;              // set when the thread starts in a root, when it begins its statements in a child
  std::atomic<std::uint32_t> begun;  // it has begun to run its statements
  std::atomic<std::uint32_t> done;   // all its statements have run
  std::atomic<const char*> call;     // the driver function that it is in (driver_call.h); null: none
  std::array<std::atomic<std::uint32_t>, limits::barriers> arrivals;
};

// The load that answers an observe of a value, at the end.
struct Reading {
  std::atomic<std::uint32_t> done;
  SeenResult result;
};

// What the driver knows about a page at the end. It answers the other observes (where, events) that a process makes itself.
struct Look {
  std::atomic<std::uint32_t> done;
  Location location = Location::none;
  std::array<char, 64> events{};  // each ends with a NUL
  std::array<char, 128> gap{};
};

// What a driver said (driver_words.h).
struct Utterance {
  std::atomic<std::uint32_t> state;  // 0: empty, 1: being written, 2: complete
  std::array<char, 4096> text;
};

// The signal that ended a process, recorded by the thread that took it.
struct FatalSignal {
  std::atomic<std::uint32_t> state;  // 0: empty, 1: being written, 2: complete
  int signal = 0;
  int process = -1;
  int thread = -1;         // -1: a leader without statements, or (`foreign`) a thread of the driver
  bool foreign = false;    // a thread that the bench did not make: one of the driver's own
  int sender = -1;         // the process that sent the signal; -1: no process did
  bool addressed = false;  // `address` is valid
  std::uintptr_t address = 0;
};

// A Disturbance of the iteration.
struct DisturbanceRecord {
  std::atomic<Disturbance::Kind> kind;
  std::atomic<int> whom;
  std::atomic<int> where;
  std::atomic<std::int64_t> gap_ns;
  std::atomic<std::int64_t> ns;
};

// Iterations that the leader of the only root runs one after the other, while the runner sleeps (turns.h).
struct Turns {
  static constexpr std::uint32_t most = 64;
  static constexpr std::uint32_t stop = 1u << 31;  // in `now`: the leader begins no other
  std::atomic<std::uint32_t> count;
  std::atomic<std::uint32_t> now;      // the one that runs, or that ran last
  std::atomic<std::int64_t> since_ns;  // when the leader began it; 0: the runner did
  std::array<std::int64_t, most*(limits::threads + limits::operations) / 4> offsets;  // a row for each
  std::array<std::uint64_t, most> iterations;                                         // Area::iteration of each
  std::array<SeenResult, std::size_t{most} * 32> results;  // of all statements, then of all observes, for each but the last
};

enum class Command : std::uint32_t { none, iterate, look, observe, leave };

struct Area {
  // Written by the runner before `round` is bumped, read by all.
  std::atomic<std::uint64_t> iteration;  // part of every stored value; counts up, from a start taken from the clock
  std::atomic<std::uint32_t> command;    // Command
  std::atomic<std::uint32_t> placement;  // bumped when `cpus` changed
  std::array<std::atomic<int>, limits::threads> cpus;
  std::array<std::atomic<std::int64_t>, limits::threads + limits::operations> offsets;
  std::array<DisturbanceRecord, most_disturbances> disturbances;
  std::atomic<int> disturbances_used;
  Word taken;  // what the Disturber sleeps on; the runner bumps it
  std::atomic<int> runner_pid;
  std::atomic<int> runner_life;  // a pidfd of the runner, which all processes inherit; readable when it is gone

  Word round;                        // workers of root processes sleep on it
  std::atomic<std::uint32_t> ready;  // root processes that are set up
  Word started;                      // equals `round` when start_ns is right
  std::atomic<std::int64_t> start_ns;
  Word finished;                        // bumped when something happened that the runner should look at
  Word over;                            // equals `round` when `live` is 0; only where ProcessContext::unasked
  std::atomic<std::int32_t> live;       // threads that are not done yet; threads that died stay counted
  std::atomic<std::uint32_t> suspects;  // processes that are being ended; `live` is unreliable if there are any
  Word meeting;                         // bumped at every arrival at a barrier and every end of a thread
  std::atomic<std::uint32_t> abort;     // set to give up: everyone who waits returns

  std::array<ProcessRecord, limits::processes> processes;
  std::array<ThreadRecord, limits::threads> threads;
  std::array<Slot, limits::operations> slots;
  std::array<Reading, limits::observes> readings;
  std::array<Look, limits::observes> looks;

  Turns turns;

  std::atomic<std::uint32_t> bench_error;  // 0: none, 1: being written, 2: complete
  std::array<char, 256> bench_error_text;

  FatalSignal fatal_signal;  // the first one of an iteration
  Utterance driver_failed;
  Utterance driver_waits;
  CommandTimes times;
};

using SharedArea = Shared<Area>;

std::int64_t now_ns();

// Waits for `ready()`: spins first, then yields, then sleeps on `word`. False if the area was aborted first. For threads that
// race afterwards, because a futex wake-up of an idle CPU takes longer than most iterations.
template <typename Ready>
bool await(Area& area, Word& word, Ready ready, bool oversubscribed);

// The same for everybody else: spins as long as that helped the last time, then sleeps. Beside other work, spinning only keeps a
// CPU from whom it waits for. With more threads than CPUs it yields first: there the CPU is about to come to whom it waits for.
template <typename Ready>
bool await_calmly(Area& area, Word& word, Ready ready, bool oversubscribed);

// The first bench error of a run wins. Async-signal-safe.
void report_bench_error(Area& area, const char* what, int process, int thread, int code);

bool gave_up(const Area& area);

template <typename Ready>
bool spin_for(std::int64_t ns, Ready ready) {
  constexpr int turns = 16;  // between two reads of the clock
  // A time and not a count, because a pause takes a hundred times longer under emulation.
  for (const std::int64_t until = now_ns() + ns; now_ns() < until;)
    for (int i = 0; i < turns; ++i) {
      if (ready()) return true;
      __builtin_ia32_pause();
    }
  return ready();
}

template <typename Ready>
bool Word::spin(Ready ready) {
  if (ready()) return true;
  constexpr std::uint32_t longest_ns = 40'000;
  constexpr std::uint32_t often = 64;
  const bool probe = spins.fetch_add(1, std::memory_order_relaxed) % often == 0;
  const std::uint32_t limit_ns = probe ? longest_ns : spin_for_ns.load(std::memory_order_relaxed);
  const std::int64_t start = now_ns();
  const bool helped = spin_for(limit_ns, ready);
  const auto next_ns = helped ? 2 * static_cast<std::uint32_t>(now_ns() - start) : limit_ns / 2;
  if (helped || !probe) spin_for_ns.store(next_ns < longest_ns ? next_ns : longest_ns, std::memory_order_relaxed);
  return helped;
}

// Sleeps until `ready()`. Looks for the end of the run only if nothing woke it for long.
template <typename Ready>
bool sleep_until_ready(Area& area, Word& word, Ready ready) {
  constexpr std::int64_t nap_ns = 100'000'000;
  for (;;) {
    const std::uint32_t seen = word.get();
    if (ready()) return true;
    if (area.abort.load(std::memory_order_acquire) != 0) return false;
    const std::int64_t start = now_ns();
    word.sleep_while(seen, nap_ns);
    if (now_ns() - start >= nap_ns && gave_up(area)) return false;
  }
}

template <typename Ready>
bool await(Area& area, Word& word, Ready ready, bool oversubscribed) {
  constexpr std::int64_t spin_ns = 60'000;
  constexpr std::int64_t yield_ns = 120'000;  // with the spinning
  const std::int64_t until = now_ns() + yield_ns;
  if (ready() || (!oversubscribed && spin_for(spin_ns, ready))) return true;
  for (; now_ns() < until; word.sleep_while(0, 0))
    if (ready()) return true;
  return sleep_until_ready(area, word, ready);
}

template <typename Ready>
bool await_calmly(Area& area, Word& word, Ready ready, bool oversubscribed) {
  if (oversubscribed) return await(area, word, ready, true);
  return word.spin(ready) || sleep_until_ready(area, word, ready);
}

}  // namespace faultline
