#include "harness/executor/evidence.h"

#include <string.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

namespace faultline {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t second = 1000 * ms;
constexpr double idle_share = 0.01;           // of a window used as CPU time; less is idle, or polling now and then
constexpr double hungry_share = 0.1;          // of a window spent waiting for a CPU
constexpr double stolen_share = 0.2;          // of CPU time that the host took
constexpr double pressed_share = 0.5;         // of a window in which some task waits; above it the window counts half
constexpr std::int64_t late_ns = 2 * second;  // a longer window means that the bench itself got no CPU
constexpr int many_times = 20;
constexpr int few_times = 8;  // clearly less than many_times, so that on a machine 8 times slower a hang is still decided

std::string seconds_text(std::int64_t ns) {
  if (ns < second) return std::to_string((ns + ms / 2) / ms) + " ms";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(ns) / second);
  return text;
}

std::string percent(double share) { return std::to_string(std::lround(share * 100)) + " %"; }

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string who(const TaskSample& task) {
  if (!task.thread.empty()) return task.thread;
  return (task.process.empty() ? "process " + std::to_string(task.pid) : task.process) + "'s thread " + task.command;
}

// Whether disks did I/O and tasks waited for it most of the time.
bool waits_for_disks(const MachineSample& before, const MachineSample& after) {
  if (!before.io_pressure_us || !after.io_pressure_us || after.ios == before.ios) return false;
  return share((*after.io_pressure_us - *before.io_pressure_us) * 1000, after.at_ns - before.at_ns) > pressed_share;
}

std::string starved(const Sample& before, const Sample& after) {
  const MachineSample &a = before.machine, &b = after.machine;
  const double stolen = share(static_cast<std::int64_t>(b.stolen - a.stolen), static_cast<std::int64_t>(b.ticks - a.ticks));
  if (stolen >= stolen_share) return "the host took " + percent(stolen) + " of the CPU time";
  if (b.at_ns - a.at_ns > late_ns) return "the bench itself got no CPU for " + seconds_text(b.at_ns - a.at_ns);
  const auto uninterruptible = [](const TaskSample& task) { return task.state == 'D'; };
  if (waits_for_disks(a, b) && std::ranges::any_of(after.tasks, uninterruptible)) return "disks are busy";
  return {};
}

}  // namespace

Window between(const Sample& before, const Sample& after) {
  Window window;
  window.length_ns = after.machine.at_ns - before.machine.at_ns;
  window.starved = starved(before, after);
  if (before.machine.cpu_pressure_us && after.machine.cpu_pressure_us)
    window.pressure = share((*after.machine.cpu_pressure_us - *before.machine.cpu_pressure_us) * 1000, window.length_ns);
  std::set<pid_t> processes, were;
  for (const TaskSample& task : after.tasks) processes.insert(task.pid);
  for (const TaskSample& task : before.tasks) were.insert(task.pid);
  if (processes != were) window.moved = "processes have come or gone";
  std::int64_t delay_ns = 0;
  for (const TaskSample& task : after.tasks) {
    const auto then = std::ranges::find(before.tasks, task.tid, &TaskSample::tid);
    const bool there = then != before.tasks.end();
    if (there && then->doing != task.doing)
      window.moved = who(task) + (task.doing.empty() ? " has done " + then->doing : " has come to " + task.doing);
    if (task.waits) continue;
    const std::int64_t ran = task.run_ns - (there ? then->run_ns : 0);
    window.ran[task.tid] = ran;
    window.run_ns += ran;
    if (task.delay_ns) delay_ns += *task.delay_ns - (there && then->delay_ns ? *then->delay_ns : 0);
    if (!there) continue;
    if (task.state == 'D' && then->state == 'D' && task.switches != then->switches)
      window.moved = who(task) + " works in the kernel (" + std::to_string(task.switches - then->switches) + " context switches)";
    // Without CONFIG_SCHED_INFO the kernel does not say how long a task waited. With it, a wait counts only once it has ended.
    if (task.state == 'R' && then->state == 'R' && share(ran, window.length_ns) < idle_share)
      window.hungry = who(task) + " is runnable and gets no CPU";
  }
  if (share(delay_ns, window.length_ns) > hungry_share) window.hungry = "they waited " + seconds_text(delay_ns) + " for a CPU";
  return window;
}

Needs needs_of(int deadline_ms, std::int64_t usual_ns, std::int64_t set_up_ns) {
  const std::int64_t deadline_ns = deadline_ms * ms;
  const std::int64_t many = usual_ns > 0 ? many_times * usual_ns : 2 * deadline_ns;
  // At least 2 s, because a `delay` takes up to a second and uses no CPU time either.
  return {std::max(2 * second, deadline_ns / 2), std::max(2 * second, 4 * deadline_ns),
          std::max({second, many, few_times * set_up_ns})};
}

void Evidence::add(const Window& window) {
  watched_ns_ += window.length_ns;
  pressed_ns_ += window.pressure * static_cast<double>(window.length_ns);
  if (!window.moved.empty()) {
    still_ns_ = fed_ns_ = 0;
    ran_.clear();
    last_ = window.moved;
    return;
  }
  if (!window.starved.empty()) {
    last_ = window.starved;
    return;
  }
  for (const auto& [tid, ran] : window.ran) ran_[tid] += ran;
  if (!window.hungry.empty()) {
    last_ = window.hungry;
    return;
  }
  // Under CPU pressure, the task that is waiting for a CPU may be a kernel worker that these tasks wait for.
  const std::int64_t counted = window.pressure > pressed_share ? window.length_ns / 2 : window.length_ns;
  fed_ns_ += counted;
  if (share(window.run_ns, window.length_ns) < idle_share) still_ns_ += counted;
}

std::int64_t Evidence::most_cpu() const {
  std::int64_t most = 0;
  for (const auto& [tid, ran] : ran_) most = std::max(most, ran);
  return most;
}

Evidence::Kind Evidence::kind(const Needs& needs) const {
  if (still_ns_ >= needs.still) return Kind::still;
  if (most_cpu() >= needs.cpu) return Kind::spins;
  if (fed_ns_ >= needs.polls) return Kind::polls;
  return Kind::none;
}

std::string Evidence::text(const Needs& needs) const {
  switch (kind(needs)) {
    case Kind::still: return "for " + seconds_text(watched_ns_) + " none of its tasks got CPU time, or waited for a CPU";
    case Kind::spins:
      return "a task got " + seconds_text(most_cpu()) + " of CPU time without getting on; " + seconds_text(needs.cpu) +
             " are enough";
    case Kind::polls:
      return "for " + seconds_text(watched_ns_) + " its tasks got the CPU time that they asked for, and did not get on";
    case Kind::none: break;
  }
  if (!last_.empty()) return last_;
  return "its tasks still compute: " + seconds_text(most_cpu()) + " of CPU time so far, not yet the " + seconds_text(needs.cpu) +
         " that are enough";
}

std::int64_t patience_ns(std::int64_t usual_ns) { return std::max(second, few_times * usual_ns); }

Control judge_control(std::optional<std::int64_t> plain_ns, std::int64_t usual_plain_ns, std::optional<std::int64_t> device_ns,
                      std::int64_t usual_device_ns, int error, Evidence::Kind waited) {
  using End = Control::End;
  const auto slow = [](std::optional<std::int64_t> ns, std::int64_t usual) { return !ns || *ns > patience_ns(usual); };
  const auto text = [](std::optional<std::int64_t> ns, std::int64_t usual) {
    return (ns ? "took " + seconds_text(*ns) : "did not end in " + seconds_text(patience_ns(usual))) + " (usually " +
           seconds_text(usual) + ")";
  };
  const std::string plain = "a fresh process that maps a page, stores, forks and loads " + text(plain_ns, usual_plain_ns);
  if (slow(plain_ns, usual_plain_ns)) return {End::slow, plain};
  if (error != 0) return {End::failed, plain + "; it cannot open the device: " + strerror(error)};
  if (usual_device_ns == 0) return {End::passed, plain};
  const std::string device = plain + "; opening the device " + text(device_ns, usual_device_ns);
  if (!slow(device_ns, usual_device_ns)) return {End::passed, device};
  if (!device_ns && waited == Evidence::Kind::still) return {End::stuck, device + ", and it waits without asking for a CPU"};
  return {End::slow, device};
}

}  // namespace faultline
