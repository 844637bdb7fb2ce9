#include "harness/executor/inquiry.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "harness/executor/samples.h"

namespace faultline {
namespace {

using End = Iterations::End;

constexpr std::int64_t ms = 1'000'000;
constexpr int window_ms = 1000;
constexpr int longest_watch_ms = 120'000;
constexpr int longest_death_ms = 60'000;
constexpr int patient_times = 4;  // deadlines for the repetition

std::string seconds_text(int milliseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%g s", milliseconds / 1000.0);
  return text;
}

std::vector<ThreadPlace> places_of(const Sample& sample) {
  std::vector<ThreadPlace> places;
  for (const TaskSample& task : sample.tasks) places.push_back(place_of(task));
  return places;
}

// Whether every thread waits for another one. The scenario causes such a deadlock; the reference finds it if it can explore
// the whole scenario.
bool all_wait(const Sample& sample) {
  return std::ranges::none_of(
      sample.tasks, [](const TaskSample& task) { return !task.waits && (!task.thread.empty() || task.tid == task.pid); });
}

std::string pressure_text(double pressure) {
  return "tasks of this machine waited for a CPU in " + std::to_string(std::lround(pressure * 100)) + " % of that time";
}

}  // namespace

Inquiry::Inquiry(const Program& program, Target& target, Iterations& iterations, const Iterations::Limits& limits,
                 std::int64_t usual_plain_ns, std::function<void()> breathe, std::function<void()> late)
    : program_(program),
      target_(target),
      iterations_(iterations),
      limits_(limits),
      usual_plain_ns_(usual_plain_ns),
      breathe_(std::move(breathe)),
      late_(std::move(late)) {}

Sample Inquiry::sample() const { return take_sample(program_, iterations_.layout(), iterations_.area()); }

Inquiry::Watched Inquiry::watch() {
  Watched watched;
  watched.needs = needs_of(limits_.deadline_ms, iterations_.usual_ns(), iterations_.first_set_up_ns());
  watched.last = sample();
  const std::int64_t until = now_ns() + std::max(longest_watch_ms, 6 * limits_.deadline_ms) * ms;
  while (now_ns() < until && watched.evidence.kind(watched.needs) == Evidence::Kind::none) {
    if (const End end = iterations_.go_on(window_ms); end != End::late) {
      watched.end = end;
      break;
    }
    Sample now = sample();
    watched.evidence.add(between(watched.last, now));
    watched.last = std::move(now);
  }
  return watched;
}

Inquiry::Cleared Inquiry::clear(std::string& why) {
  // 15 s, because a read from a disk that must spin up first takes some seconds.
  constexpr Needs needs{.still = 15'000 * ms, .polls = INT64_MAX, .cpu = 10'000 * ms};
  const auto dying = [this] {
    Sample now = sample();
    for (TaskSample& task : now.tasks) task.waits = false;
    return now;
  };
  if (iterations_.clear(window_ms)) return Cleared::yes;
  Evidence evidence;
  Sample last = dying();
  for (const std::int64_t until = now_ns() + longest_death_ms * ms; now_ns() < until;) {
    breathe_();
    if (iterations_.clear(window_ms)) return Cleared::yes;
    Sample now = dying();
    evidence.add(between(last, now));
    last = std::move(now);
    if (evidence.kind(needs) == Evidence::Kind::none) continue;
    why = "it survives SIGKILL: " + evidence.text(needs);
    return Cleared::stuck;
  }
  why = "its processes did not die in " + seconds_text(longest_death_ms) + ": " + evidence.text(needs);
  return Cleared::slow;
}

std::optional<Hang> Inquiry::finish(std::uint64_t iteration) {
  if (iterations_.finish()) return std::nullopt;
  Hang hang;
  hang.iteration = iteration;
  hang.threads = places_of(sample());
  std::string why;
  const Cleared cleared = clear(why);
  if (cleared == Cleared::yes) return std::nullopt;
  hang.stuck = cleared == Cleared::stuck;
  hang.slow = !hang.stuck;
  hang.why = {"it has ended, and was killed to make room for the next", why};
  return hang;
}

Inquiry::Found Inquiry::not_set_up(std::uint64_t iteration) {
  Hang hang;
  hang.iteration = iteration;
  hang.set_up = iterations_.unprepared();
  hang.why = {"it was not set up in " + seconds_text(limits_.set_up_ms)};
  hang.threads = places_of(sample());
  late_();
  std::string why;
  hang.stuck = clear(why) != Cleared::yes;
  if (!why.empty()) hang.why.push_back(why);
  return {std::move(hang), std::nullopt, true};
}

// Repeats the iteration in new processes, with the same parameters but a longer deadline.
void Inquiry::repeat(const Row& row, Found& found) {
  Hang& hang = *found.hang;
  const int patience_ms = patient_times * limits_.deadline_ms;
  const std::string again = "repeated with " + seconds_text(patience_ms);
  const End end = iterations_.run(row, {limits_.set_up_ms, patience_ms});
  hang.once = true;
  if (end == End::outcome || end == End::error || end == End::crash) {
    hang.why.push_back(again + " it did not come back");
    found.end = end;
    return;
  }
  const Watched second = end == End::late ? watch() : Watched{.end = end};
  std::string why;
  if (second.end == End::outcome || second.end == End::error || second.end == End::crash) {
    hang.why.push_back(again + " it was late, and ended");
    found.end = second.end;
    return;
  }
  if (second.end == End::unprepared) {
    hang.why.push_back(again + " it was not set up: " + iterations_.unprepared());
  } else if (second.evidence.kind(second.needs) == Evidence::Kind::none) {
    hang.why.push_back(again + " it was late, and nothing can be told: " + second.evidence.text(second.needs));
  } else {
    hang.once = false;
    hang.why.push_back(again + " it hung again: " + second.evidence.text(second.needs));
  }
  const Cleared cleared = clear(why);
  if (!why.empty()) hang.why.push_back(why);
  hang.stuck = cleared == Cleared::stuck;
  found.over = !hang.once || cleared != Cleared::yes;
}

Inquiry::Found Inquiry::look_into(End end, std::uint64_t iteration, const Row& row) {
  if (end == End::unprepared) return not_set_up(iteration);
  Watched watched = watch();
  if (watched.end == End::unprepared) return not_set_up(iteration);
  if (watched.end) return {std::nullopt, watched.end, false};
  Found found;
  Hang& hang = found.hang.emplace();
  hang.iteration = iteration;
  hang.threads = places_of(watched.last);
  hang.why = {"it was to end in " + seconds_text(limits_.deadline_ms) + ", and then " + watched.evidence.text(watched.needs)};
  if (watched.evidence.pressure() > 0) hang.why.push_back(pressure_text(watched.evidence.pressure()));
  hang.slow = watched.evidence.kind(watched.needs) == Evidence::Kind::none;
  if (all_wait(watched.last)) {
    hang.slow = true;
    hang.why.insert(hang.why.begin(),
                    "each of its threads waits for another one, at a barrier or in a wait: no kernel is to blame");
  }
  if (!hang.slow) {
    late_();
    const Control control =
        control_iteration(target_, iterations_.devices(), {usual_plain_ns_, iterations_.first_set_up_ns()}, breathe_);
    hang.why.push_back(control.text);
    hang.slow = control.end == Control::End::slow;
  }
  std::string why;
  const Cleared cleared = clear(why);
  if (!why.empty()) hang.why.push_back(why);
  hang.stuck = cleared == Cleared::stuck;
  if (hang.stuck) hang.slow = false;               // surviving SIGKILL is a hang, however slow the machine
  if (cleared == Cleared::slow) hang.slow = true;  // it cannot be repeated, and nothing is certain without that
  found.over = cleared != Cleared::yes;
  if (!hang.slow && !found.over) repeat(row, found);
  return found;
}

}  // namespace faultline
