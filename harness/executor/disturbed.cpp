#include "harness/executor/disturbed.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

namespace faultline {
namespace {

using Kind = Disturbance::Kind;

constexpr std::int64_t second = 1'000'000'000;

timespec time_of(std::int64_t ns) { return {ns / second, ns % second}; }

int signal_number() { return SIGRTMIN + 3; }

// The timer of a thread, made when the thread first needs it. A child that the thread forks has no timer, but a copy of this.
struct ThreadTimer {
  timer_t timer{};
  pid_t owner = 0;
  int signals = 0;  // of this iteration
};
thread_local ThreadTimer own;

bool set_timer(std::int64_t period_ns) {
  const timespec period = time_of(period_ns);
  const itimerspec times{period, period};
  return timer_settime(own.timer, 0, &times, nullptr) == 0;
}

// False if the kernel has no timer for it: then there are no signals.
bool start_signals(std::int64_t period_ns) {
  if (own.owner != gettid()) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signal_number();
    event._sigev_un._tid = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &own.timer) != 0) return false;
    own.owner = gettid();
  }
  own.signals = 0;
  return set_timer(period_ns);
}

// On a busy machine a signal may take longer than the period. Then the thread would do nothing else for ever, and be called hung.
void take_signal(int) {
  constexpr int most = 500;
  const int error = errno;
  if (own.owner == gettid() && ++own.signals >= most) set_timer(0);
  errno = error;
}

}  // namespace

void spin_until(std::int64_t when, bool oversubscribed) {
  while (now_ns() < when) {
    if (oversubscribed) sched_yield();
    else __builtin_ia32_pause();
  }
}

void sleep_until(std::int64_t when) {
  const timespec time = time_of(when);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {}
}

void bear_signals() {
  struct sigaction action {};
  action.sa_handler = take_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number(), &action, nullptr);
}

Disturbed::Disturbed(const ProcessContext& context, int thread)
    : context_(context), thread_(thread), used_(context.area.disturbances_used.load(std::memory_order_relaxed)) {
  for (int i = 0; i < used_; ++i) {
    const DisturbanceRecord& record = context.area.disturbances[i];
    if (record.kind.load(std::memory_order_relaxed) != Kind::signals || record.whom.load(std::memory_order_relaxed) != thread)
      continue;
    signals_ = start_signals(record.ns.load(std::memory_order_relaxed));
  }
}

Disturbed::~Disturbed() {
  if (signals_) set_timer(0);
}

void Disturbed::wait(int statement) const {
  for (int i = 0; i < used_; ++i) {
    const DisturbanceRecord& record = context_.area.disturbances[i];
    const Kind kind = record.kind.load(std::memory_order_relaxed);
    if ((kind != Kind::stall && kind != Kind::nap) || record.whom.load(std::memory_order_relaxed) != thread_ ||
        record.where.load(std::memory_order_relaxed) != statement)
      continue;
    const std::int64_t until = now_ns() + record.ns.load(std::memory_order_relaxed);
    if (kind == Kind::stall) {
      spin_until(until, context_.oversubscribed);
      continue;
    }
    sleep_until(until);
  }
}

}  // namespace faultline
