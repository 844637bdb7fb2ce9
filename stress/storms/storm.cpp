#include "stress/storms/storm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "harness/executor/area.h"
#include "harness/executor/process_watch.h"
#include "harness/in_child.h"
#include "stress/storms/family.h"
#include "stress/storms/levels.h"
#include "stress/storms/random.h"
#include "stress/storms/victim.h"
#include "stress/storms/watcher.h"

namespace faultline::storms {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t quiet_ns = 150 * ms;  // for what the kernel frees later: RCU, delayed work
constexpr std::int64_t breath_ns = 5'000 * ms;

class Storm {
 public:
  Storm(const StormPlan& plan, Target& target, Listener& listener)
      : plan_(plan), target_(target), listener_(listener), random_(plan.seed) {}

  std::uint64_t run();

 private:
  void work();
  void work_on_victim();
  void work_on_family();
  void end_victim(pid_t process, Ending ending, std::int64_t work_ns);
  bool start(const std::function<void()>& child, pid_t& process);
  bool is_well(pid_t process, bool killed);
  bool await(pid_t process, const char* doing, std::int64_t work_ns, const Over& over);
  void clear(pid_t process);
  void sleep_until(std::int64_t end_ns);
  void breathe();
  void tell(StormNews& news);

  const StormPlan plan_;
  Target& target_;
  Listener& listener_;
  Random random_;
  SharedBoard board_;
  std::uint64_t round_ = 0;
  std::int64_t longest_ns_ = 0;  // that a process took to end
  std::int64_t breath_at_ns_ = 0;
  bool broken_ = false;  // no further round can be run
};

void Storm::breathe() {
  if (now_ns() - breath_at_ns_ < breath_ns) return;
  breath_at_ns_ = now_ns();
  listener_.alive();
}

void Storm::sleep_until(std::int64_t end_ns) {
  while (now_ns() < end_ns && !listener_.stop_requested()) {
    usleep(static_cast<useconds_t>(std::clamp<std::int64_t>((end_ns - now_ns()) / 1000, 1, 50'000)));
    breathe();
  }
}

void Storm::tell(StormNews& news) {
  news.round = round_;
  news.levels = read_levels();
  listener_.news(news);
}

bool Storm::start(const std::function<void()>& child, pid_t& process) {
  const pid_t own = getpid();
  process = fork();
  if (process == 0) {
    die_with(own);
    child();
  }
  if (process > 0) return true;
  listener_.error(std::string("fork: ") + strerror(errno));
  broken_ = true;
  return false;
}

// Whether it is over in time. Tells of a hang otherwise.
bool Storm::await(pid_t process, const char* doing, std::int64_t work_ns, const Over& over) {
  const int work_ms = static_cast<int>(work_ns / ms);
  for (int waited_ms = 0; waited_ms < work_ms + plan_.deadline_ms; waited_ms += 1000, breathe())
    if (over(1000)) return true;
  board_->stop = true;  // who can still end does so; who hangs remains
  const std::optional<Hang> hang =
      await_end({process, round_, doing, plan_.deadline_ms, longest_ns_}, *board_, over, [this] { breathe(); });
  if (!hang) return true;
  broken_ |= !hang->slow;
  listener_.hang(*hang);
  return false;
}

// Kills what is left of a round.
void Storm::clear(pid_t process) {
  const auto hang =
      kill_all({process, round_, "to die of SIGKILL", plan_.deadline_ms, longest_ns_}, *board_, [this] { breathe(); });
  if (!hang) return;
  listener_.hang(*hang);
  broken_ = true;
}

// Reaps a dead process.
bool Storm::is_well(pid_t process, bool killed) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0)
    if (errno != EINTR) return true;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    if (!killed) listener_.error("a process was killed, and not by the bench; the OOM killer may have done it");
    broken_ |= !killed;
  } else if (WIFEXITED(status) && WEXITSTATUS(status) == cannot_start) {
    listener_.error("a process cannot open the device, or map memory");
    broken_ = true;
  } else if (status != 0) {
    board_->say_wrong("a process ended with %s %d, outside of every access that may fail",
                      WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  }
  return !broken_;
}

void Storm::end_victim(pid_t process, Ending ending, std::int64_t work_ns) {
  const auto ends = [&](int longest_ms) {
    for (const std::int64_t until = now_ns() + longest_ms * ms; !board_->ends.load(); usleep(500))
      if (is_dead(process)) return true;
      else if (now_ns() >= until) return false;
    return true;
  };
  const auto dead = [process](int longest_ms) { return wait_for_death(process, longest_ms); };
  if (!await(process, "to end its accesses", work_ns, ends)) return;
  std::int64_t start = board_->ending_ns.load();
  int queue = board_->ending_queue.load();
  if (ending == Ending::killed) {
    queue = board_->outstanding.load();
    start = now_ns();
    kill(process, SIGKILL);
  }
  if (!await(process, ending == Ending::killed ? "to die of SIGKILL" : "to end", 0, dead)) return;
  if (start == 0) return;
  const std::int64_t took = now_ns() - start;
  longest_ns_ = std::max(longest_ns_, took);
  if (ending == Ending::killed) board_->note(Call::sigkill, queue, took);
  if (ending == Ending::exit) board_->note(Call::exit, queue, took);
  if (ending == Ending::exec) board_->note(Call::exec, queue, took);  // with the program that it ran
}

void Storm::work_on_victim() {
  VictimPlan victim;
  victim.threads = random_.one_in(3) ? plan_.threads : static_cast<int>(random_.log_uniform(1, plan_.threads));
  victim.seed = random_.seed();
  const bool short_life = plan_.kind == StormKind::teardown;
  victim.work_ns = short_life ? random_.log_uniform(ms, 60 * ms) : 400 * ms;
  victim.least_changes = short_life ? 0 : 16;
  victim.ending = short_life ? static_cast<Ending>(random_.below(endings)) : random_.one_in(2) ? Ending::killed : Ending::exit;
  pid_t process = -1;
  if (!start([&] { be_victim(victim, target_, *board_); }, process)) return;
  board_->add(Count::processes);
  end_victim(process, victim.ending, victim.work_ns);
  if (is_dead(process)) is_well(process, victim.ending == Ending::killed);
  clear(process);
}

void Storm::work_on_family() {
  FamilyPlan family;
  const int most = std::clamp(plan_.threads / 2, 1, most_alive);
  family.processes = random_.one_in(3) ? most : static_cast<int>(random_.log_uniform(1, most));
  family.seed = random_.seed();
  family.work_ns = random_.log_uniform(50 * ms, 800 * ms);
  pid_t process = -1;
  if (!start([&] { be_family(family, target_, *board_); }, process)) return;
  board_->add(Count::processes);
  if (random_.one_in(3)) {
    sleep_until(now_ns() + random_.log_uniform(10 * ms, family.work_ns));
    if (is_dead(process) && !is_well(process, false)) return;
    const int queue = board_->outstanding.load();
    const std::int64_t start = now_ns();
    clear(process);
    board_->note(Call::tree, queue, now_ns() - start);
    return;
  }
  const auto dead = [process](int longest_ms) { return wait_for_death(process, longest_ms); };
  if (await(process, "to end with all its children", family.work_ns, dead)) is_well(process, false);
  clear(process);
}

void Storm::work() {
  board_->clear_for_next();
  plan_.kind == StormKind::fork ? work_on_family() : work_on_victim();
  StormNews news;
  board_->take(news);
  usleep(quiet_ns / 1000);
  tell(news);
}

std::uint64_t Storm::run() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const std::int64_t end = now_ns() + static_cast<std::int64_t>(plan_.milliseconds) * ms;
  const auto goes_on = [&] { return !broken_ && now_ns() < end && !listener_.stop_requested(); };
  StormNews before{.idle = true};
  tell(before);
  while (goes_on()) {
    ++round_;
    const std::int64_t start = now_ns();
    work();
    if (!goes_on()) break;
    const std::int64_t worked = now_ns() - start - quiet_ns;
    sleep_until(now_ns() + worked);
    usleep(quiet_ns / 1000);
    StormNews idle{.idle = true};
    tell(idle);
  }
  return round_;
}

}  // namespace

std::uint64_t run_storm(const StormPlan& plan, Target& target, Listener& listener) { return Storm(plan, target, listener).run(); }

}  // namespace faultline::storms
