#include "harness/executor/disturber.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "harness/executor/disturbed.h"
#include "harness/executor/layout.h"
#include "harness/in_child.h"

namespace faultline {
namespace {

using Kind = Disturbance::Kind;

bool is_done_by_disturber(Kind kind) { return kind == Kind::preempt || changes_pages(kind); }

// Whether the iteration still has a thread to disturb.
bool goes_on(const Area& area, std::uint32_t round) {
  return area.round.get() == round && area.live.load(std::memory_order_relaxed) > 0 && area.abort.load() == 0;
}

void take_cpu(const Area& area, std::uint32_t round, std::int64_t gap_ns, std::int64_t ns) {
  sleep_until(area.start_ns.load() + gap_ns);
  for (std::int64_t taken = 0; taken < longest_taken_ns && goes_on(area, round); taken += ns) {
    const std::int64_t until = now_ns() + ns;
    while (now_ns() < until && goes_on(area, round)) __builtin_ia32_pause();
    sleep_until(now_ns() + gap_ns);
  }
}

void move_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

void page_out(pid_t pid, const Layout& layout) {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) return;
  const iovec all{reinterpret_cast<void*>(regions_base), layout.regions_bytes()};
  syscall(SYS_process_madvise, process, &all, 1, MADV_PAGEOUT, 0);
  close(process);
}

// The first pages of each region: a region is longer only where there may be huge pages, which are not moved.
void move_pages(pid_t pid, const Layout& layout, int node) {
  constexpr std::size_t most = limits::pages_per_request;
  for (const std::uintptr_t region : std::span(layout.region_address).first(layout.region_address.size() - 1)) {
    std::array<void*, most> pages{};
    std::array<int, most> nodes{}, found{};
    for (std::size_t i = 0; i < most; ++i) pages[i] = reinterpret_cast<void*>(region + i * page_bytes);
    nodes.fill(node);
    syscall(SYS_move_pages, pid, most, pages.data(), nodes.data(), found.data(), MPOL_MF_MOVE_ALL);
  }
}

// Each call is on the next CPU: pages that were just made wait in a list of their CPU, where reclaim does not see them, and
// MADV_PAGEOUT empties that of its own CPU. A device's request fails after a second of invalidations (test_hmm), hence the limit.
void change_pages(const Area& area, const std::vector<int>& cpus, const Layout& layout, const DisturbanceRecord& record) {
  constexpr int most = 10;
  const std::uint32_t round = area.round.get();
  sleep_until(area.start_ns.load() + record.gap_ns.load());
  for (int i = 0; i < most && goes_on(area, round); ++i) {
    move_to(cpus[static_cast<std::size_t>(i) % cpus.size()]);
    if (const pid_t pid = area.processes[record.whom.load()].pid.load(); pid > 0) {
      if (record.kind.load() == Kind::reclaim) page_out(pid, layout);
      else move_pages(pid, layout, 1 - i % 2);
    }
    sleep_until(now_ns() + record.ns.load());
  }
}

void disturb(Area& area, const std::vector<int>& cpus, const Layout& layout, int& cpu) {
  const std::uint32_t round = area.round.get();
  const auto used = std::span(area.disturbances).first(static_cast<std::size_t>(area.disturbances_used.load()));
  const auto record =
      std::ranges::find_if(used, [](const DisturbanceRecord& each) { return is_done_by_disturber(each.kind.load()); });
  if (record == used.end()) return;
  const bool preempts = record->kind.load() == Kind::preempt;
  if (const int wanted = preempts ? record->whom.load() : -1; std::exchange(cpu, wanted) != wanted && preempts)
    move_to(cpus[wanted]);
  // The set-up may take long, so do not spin before the start.
  while (area.started.get() != round) {
    if (gave_up(area) || area.round.get() != round) return;
    area.started.sleep_while(area.started.get(), 100'000'000);
  }
  if (preempts) take_cpu(area, round, record->gap_ns.load(), record->ns.load());
  else change_pages(area, cpus, layout, *record);
}

[[noreturn]] void live_as_disturber(Area& area, const std::vector<int>& cpus, const Layout& layout, std::uint32_t seen) {
  prctl(PR_SET_TIMERSLACK, 1);
  const sched_param lowest{1};
  sched_setscheduler(0, SCHED_FIFO, &lowest);  // without the right to it: a thread that has slept preempts others as well
  int cpu = -1;
  for (;;) {
    while (area.taken.get() == seen) {
      if (gave_up(area)) _exit(0);
      area.taken.sleep_while(seen, 1'000'000'000);
    }
    seen = area.taken.get();
    disturb(area, cpus, layout, cpu);
  }
}

}  // namespace

void Disturber::prepare(std::span<const Disturbance> disturbances) {
  needed_ = false;
  for (std::size_t i = 0; i < disturbances.size(); ++i) {
    DisturbanceRecord& record = area_.disturbances[i];
    record.kind.store(disturbances[i].kind, std::memory_order_relaxed);
    record.whom.store(disturbances[i].whom, std::memory_order_relaxed);
    record.where.store(disturbances[i].where, std::memory_order_relaxed);
    record.gap_ns.store(disturbances[i].gap_ns, std::memory_order_relaxed);
    record.ns.store(disturbances[i].ns, std::memory_order_relaxed);
    needed_ = needed_ || is_done_by_disturber(disturbances[i].kind);
  }
  area_.disturbances_used.store(static_cast<int>(disturbances.size()), std::memory_order_release);
  if (!needed_ || pid_ > 0) return;
  const pid_t runner = getpid();
  const std::uint32_t seen = area_.taken.get();
  pid_ = fork();
  if (pid_ != 0) return;
  die_with(runner);
  live_as_disturber(area_, cpus_, layout_, seen);
}

void Disturber::begin() {
  if (needed_) area_.taken.bump();
}

void Disturber::end() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {}
  pid_ = -1;
}

}  // namespace faultline
