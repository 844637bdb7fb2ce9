#include "stress/storms/watcher.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "harness/executor/area.h"
#include "harness/executor/evidence.h"
#include "harness/executor/process_watch.h"
#include "harness/executor/samples.h"

namespace faultline::storms {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr int window_ms = 1000;
constexpr std::int64_t longest_watch_ns = 120'000 * ms;

// With how many accesses each thread has begun: an access more is progress.
Sample sample_of(pid_t process, const Board& board) {
  Sample sample = take_sample(process);
  for (TaskSample& task : sample.tasks)
    for (const Progress& progress : board.progress)
      if (progress.tid.load() == task.tid) task.doing = "access " + std::to_string(progress.steps.load());
  return sample;
}

std::string seconds_text(int milliseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%g s", milliseconds / 1000.0);
  return text;
}

}  // namespace

std::optional<Hang> await_end(const Wait& wait, const Board& board, const Over& over, const std::function<void()>& breathe) {
  for (int waited_ms = 0; waited_ms < wait.deadline_ms; waited_ms += window_ms) {
    if (over(std::min(window_ms, wait.deadline_ms - waited_ms))) return std::nullopt;
    breathe();
  }
  const Needs needs = needs_of(wait.deadline_ms, wait.usual_ns, 0);
  Evidence evidence;
  Sample last = sample_of(wait.process, board);
  const std::int64_t until = now_ns() + std::max(longest_watch_ns, 6 * wait.deadline_ms * ms);
  while (now_ns() < until && evidence.kind(needs) == Evidence::Kind::none) {
    if (over(window_ms)) return std::nullopt;
    breathe();
    Sample now = sample_of(wait.process, board);
    evidence.add(between(last, now));
    last = std::move(now);
  }
  Hang hang;
  hang.iteration = wait.round;
  hang.slow = evidence.kind(needs) == Evidence::Kind::none;
  hang.why = {"a process had " + seconds_text(wait.deadline_ms) + " " + wait.doing + ", and then " + evidence.text(needs)};
  for (const TaskSample& task : last.tasks) hang.threads.push_back(place_of(task));
  return hang;
}

std::optional<Hang> kill_all(const Wait& wait, const Board& board, const std::function<void()>& breathe) {
  std::vector<pid_t> all = descendants_of(wait.process);
  all.push_back(wait.process);
  for (const pid_t each : all) kill(each, SIGKILL);
  const auto gone = [](int longest_ms) {
    for (const std::int64_t until = now_ns() + longest_ms * ms;; usleep(200)) {
      const pid_t reaped = waitpid(-1, nullptr, WNOHANG);
      if (reaped < 0 && errno == ECHILD) return true;
      // A child that was born meanwhile comes to us, because we are its subreaper.
      if (reaped == 0)
        for (const pid_t each : children_of(getpid())) kill(each, SIGKILL);
      if (now_ns() >= until) return false;
    }
  };
  std::optional<Hang> hang = await_end(wait, board, gone, breathe);
  if (hang && !hang->slow) {
    hang->stuck = true;
    hang->why.emplace_back("it survives SIGKILL");
  }
  return hang;
}

}  // namespace faultline::storms
