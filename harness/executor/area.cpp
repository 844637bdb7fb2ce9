#include "harness/executor/area.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace faultline {
namespace {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free,
              "an atomic with a lock in it does not work between processes");

// Not FUTEX_PRIVATE: the word is shared between processes.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

}  // namespace

const char* step_text(Step step) {
  switch (step) {
    case Step::none: return "";
    case Step::reaping: return "waits for the end of killed children";
    case Step::freeing: return "frees the buffers of the last iteration";
    case Step::closing: return "closes the devices of the last iteration";
    case Step::unmapping: return "unmaps the regions of the last iteration";
    case Step::files: return "makes its files";
    case Step::mapping: return "maps its regions";
    case Step::opening: return "opens its devices";
    case Step::allocating: return "allocates its buffers";
    case Step::ready: return "is ready";
    case Step::looking: return "looks where its pages are";
    case Step::observing: return "loads what is observed";
  }
  return "?";
}

void Word::set(std::uint32_t next) {
  value.store(next, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) != 0) futex(value, FUTEX_WAKE, INT_MAX, nullptr);
}

void Word::bump() {
  value.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) != 0) futex(value, FUTEX_WAKE, INT_MAX, nullptr);
}

void Word::sleep_while(std::uint32_t old, std::int64_t longest_ns) {
  constexpr std::int64_t second = 1'000'000'000;
  if (longest_ns <= 0) {
    sched_yield();
    return;
  }
  if (longest_ns > second) longest_ns = second;
  const timespec timeout{longest_ns / second, longest_ns % second};
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  futex(value, FUTEX_WAIT, old, &timeout);
  sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

bool gave_up(const Area& area) {
  if (area.abort.load(std::memory_order_acquire) != 0) return true;
  // If the whole run is killed, a forked child outlives its root. It must notice by itself that the runner is gone.
  // kill(pid, 0) would not do, because it succeeds until init has reaped the runner.
  pollfd life{area.runner_life.load(std::memory_order_relaxed), POLLIN, 0};
  return poll(&life, 1, 0) > 0;
}

void report_bench_error(Area& area, const char* what, int process, int thread, int code) {
  std::uint32_t none = 0;
  if (!area.bench_error.compare_exchange_strong(none, 1)) return;
  char* text = area.bench_error_text.data();
  const std::size_t room = area.bench_error_text.size();
  // No snprintf here: this runs in signal handlers.
  std::size_t used = 0;
  const auto put = [&](const char* words) {
    while (*words != '\0' && used + 1 < room) text[used++] = *words++;
    text[used] = '\0';
  };
  const auto number = [&](int value) {
    char digits[12];
    int at = sizeof digits;
    digits[--at] = '\0';
    unsigned rest = value < 0 ? 0u - static_cast<unsigned>(value) : static_cast<unsigned>(value);
    do digits[--at] = static_cast<char>('0' + rest % 10);
    while ((rest /= 10) != 0 && at > 1);
    if (value < 0) digits[--at] = '-';
    put(digits + at);
  };
  put(what);
  put(" (process ");
  number(process);
  put(", thread ");
  number(thread);
  put(", code ");
  number(code);
  put(")");
  area.bench_error.store(2, std::memory_order_release);
  area.finished.bump();
}

}  // namespace faultline
