#include "harness/executor/iteration.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "harness/executor/meeting.h"
#include "harness/executor/process.h"
#include "harness/executor/process_watch.h"
#include "harness/executor/turns.h"
#include "harness/queries.h"

namespace faultline {
namespace {

constexpr std::int64_t ms = 1'000'000;

}  // namespace

Iterations::Iterations(const Program& program, Target& target, Frames* frames, std::vector<int> cpus,
                       std::function<void()> breathe)
    : program_(program),
      layout_(program),
      frames_(frames),
      cpus_(std::move(cpus)),
      prototype_{program_,
                 layout_,
                 target,
                 *area_,
                 cpus_,
                 program.threads.size() > cpus_.size(),
                 program.threads.size() >= cpus_.size(),
                 target.capabilities().device_class == DeviceClass::fatal_faults,
                 layout_.unasked && target.capabilities().device_class != DeviceClass::fatal_faults,
                 -1,
                 {}},
      breathe_(std::move(breathe)),
      identities_(program.observes.size(), Sameness::unknown),
      killed_before_(processes_killed_for_memory()) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const std::vector<int>& opened : layout_.opens)
    for (const int device : opened)
      if (std::ranges::find(devices_, device) == devices_.end()) devices_.push_back(device);
  target.speak_to(&driver_words_);
  area_->runner_pid.store(getpid());
  const int life = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (life < 0) throw std::system_error(errno, std::generic_category(), "pidfd_open");
  area_->runner_life.store(life);
  // Words in pages of an earlier run must not decode as values of this one. So start at a number that is unlikely to be near
  // that of another run.
  area_->iteration.store(static_cast<std::uint64_t>(now_ns()) / 1000);
}

Iterations::~Iterations() {
  clear(1000);
  close(area_->runner_life.load());
  prototype_.target.speak_to(nullptr);
}

void Iterations::place(const std::vector<int>& cpus) {
  for (std::size_t thread = 0; thread < cpus.size(); ++thread) area_->cpus[thread].store(cpus[thread]);
  area_->placement.fetch_add(1);
}

bool Iterations::alive(int process) const { return life(process) == Life::born && area_->processes[process].ended.load() == 0; }

void Iterations::start_roots() {
  area_->round.value.store(0);
  area_->started.value.store(0);
  area_->over.value.store(0);
  area_->fatal_signal.state.store(0);
  for (ThreadRecord& record : area_->threads) record.tid.store(0), record.call.store(nullptr);
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process) {
    ProcessRecord& record = area_->processes[process];
    record.command.value.store(0);
    record.answered.store(UINT32_MAX);  // it has not answered yet, asked or not
    record.call.store(nullptr);
    record.step.store(0);
    if (!root(process)) continue;
    const pid_t pid = fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork of a root process");
    if (pid == 0) live_as_root(prototype_, process);
    record.pid.store(pid);
    record.life.store(static_cast<std::uint32_t>(Life::born));
  }
  roots_alive_ = true;
}

void Iterations::reset() {
  Area& area = *area_;
  area.iteration.fetch_add(1);
  area.abort.store(0);
  area.bench_error.store(0);
  area.driver_failed.state.store(0);
  area.driver_waits.state.store(0);
  reset_records(program_, layout_, area);
}

void Iterations::launch(std::span<const Row> rows) {
  Area& area = *area_;
  const std::vector<std::int64_t>& first = rows.front().offsets;
  for (std::size_t i = 0; i < first.size(); ++i) area.offsets[i].store(first[i], std::memory_order_relaxed);
  area.turns.count.store(static_cast<std::uint32_t>(rows.size()));
  area.turns.now.store(0);
  area.turns.since_ns.store(0);
  if (rows.size() > 1)
    for (std::int64_t* to = area.turns.offsets.data(); const Row& row : rows) to = std::ranges::copy(row.offsets, to).out;
  disturber_.prepare(rows.front().disturbances);
  area.command.store(static_cast<std::uint32_t>(Command::iterate));
  area.round.bump();
  round_ = area.round.get();
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process)
    if (root(process)) area.processes[process].command.bump();
  disturber_.begin();
}

// A thread was killed inside fork(). Either the child exists but has not set its pid yet, or it will never exist. Children
// of the dead process have become children of the runner, the subreaper.
void Iterations::resolve_cut_fork(int process) {
  for (pid_t child : children_of(getpid())) {
    const bool known = child == disturber_.pid() || std::ranges::any_of(area_->processes, [&](const ProcessRecord& record) {
                         return record.pid.load() == child;
                       });
    if (!known) return;
  }
  // The child may have set its pid after children_of() listed it.
  auto forking = static_cast<std::uint32_t>(Life::forking);
  if (area_->processes[process].pid.load() == 0)
    area_->processes[process].life.compare_exchange_strong(forking, static_cast<std::uint32_t>(Life::failed));
}

void Iterations::note_deaths() {
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process) {
    ProcessRecord& record = area_->processes[process];
    if (suspect(process) == Suspect::no || !alive(process)) continue;
    if (record.reaped.load() == 0 && !is_dead(record.pid.load())) continue;
    record.ended.store(1, std::memory_order_release);
    area_->meeting.bump();
  }
}

bool Iterations::settled(int process) {
  switch (life(process)) {
    case Life::unborn: return never_born(program_, layout_, *area_, process);
    case Life::forking:
      if (area_->processes[program_.threads[layout_.forker[process]].process].ended.load() != 0) resolve_cut_fork(process);
      return life(process) == Life::failed;
    case Life::failed: return true;
    case Life::born: break;
  }
  if (!alive(process)) return true;
  if (suspect(process) == Suspect::doomed) return false;
  return std::ranges::all_of(layout_.threads_of[process],
                             [&](int thread) { return area_->threads[thread].done.load(std::memory_order_acquire) != 0; });
}

bool Iterations::quiet() {
  if (area_->started.get() != round_) return false;
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process)
    if (!settled(process)) return false;
  return true;
}

// A process that no operation ended: something outside, the driver, or a bug of the bench did. -1 if there is none.
int Iterations::unexpected_death() {
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process) {
    const ProcessRecord& record = area_->processes[process];
    // Test for death before suspicion: an operation makes the process a suspect before it ends the process.
    if (!alive(process) || record.reaped.load() != 0 || !is_dead(record.pid.load()) || suspect(process) != Suspect::no) continue;
    if (!root(process) && ends_by_itself(prototype_, process) && area_->over.get() == round_) continue;
    // A thread of the driver that blocks the signal dies of its fault without running our handler.
    const Ending ending = ending_of(record.pid.load());
    const bool fault = ending.kind == Ending::Kind::signal && (ending.code == SIGSEGV || ending.code == SIGBUS);
    if (!fault || !prototype_.faults_end_process || is_about_memory_model(program_)) return process;
    faultline::suspect(*area_, process, Suspect::doomed);
  }
  return -1;
}

// Handles the death of a process that no operation ended. A recorded signal says more than the error of a thread that waited
// for the process, so it comes first.
Iterations::End Iterations::ended(int process) {
  if (!told() && area_->bench_error.load() != 0) return End::error;
  const Death death = told()
                          ? death_by_signal(program_, layout_, *area_)
                          : death_unannounced(program_, layout_, *area_, process, ending_of(area_->processes[process].pid.load()),
                                              processes_killed_for_memory() > killed_before_);
  error_ = death.error;
  if (!death.crash) return End::error;
  crash_ = *death.crash;
  return End::crash;
}

// When the current phase began: the end of the statements, their start, or that of the set-up.
std::int64_t Iterations::since_ns() const {
  if (quiet_ns_ != 0) return quiet_ns_;
  if (has_started()) return area_->start_ns.load();
  return std::max(launched_ns_, area_->turns.since_ns.load());
}

// Whether the limit for the current phase has passed. While a process waits for children of the last iteration to die, the
// deadline applies, not the limit of the set-up.
std::optional<Iterations::End> Iterations::passed() {
  const std::int64_t now = now_ns(), deadline_ns = limits_.deadline_ms * ms + longer_ns_;
  std::optional<End> end;
  const std::int64_t since = since_ns();
  if (quiet_ns_ != 0 || has_started()) {
    if (now - since > deadline_ns) end = End::late;
  } else if (std::ranges::any_of(area_->processes, [](const ProcessRecord& record) {
               return record.step.load() == static_cast<std::uint32_t>(Step::reaping);
             })) {
    if (now - since > deadline_ns) end = End::late;
  } else if (now - since > limits_.set_up_ms * ms + longer_ns_) {
    end = End::unprepared;
  }
  if (end) disturber_.end();  // it is no part of what hangs
  return end;
}

std::string Iterations::unprepared() const {
  std::string text;
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process) {
    const auto step = static_cast<Step>(area_->processes[process].step.load());
    if (!root(process) || step == Step::ready) continue;
    text += (text.empty() ? "" : "; ") + program_.processes[process].name + " " +
            (step == Step::none ? "has not begun" : step_text(step));
  }
  return text;
}

Iterations::End Iterations::wait_for_quiet() {
  constexpr std::int64_t look_for_deaths_ns = 100'000;
  constexpr std::int64_t look_at_everything_ns = 20 * ms;
  for (;;) {
    const std::uint32_t seen = area_->finished.get();
    const bool suspects = area_->suspects.load() != 0;
    if (suspects) note_deaths();
    const bool over = quiet();
    if (told()) return ended(area_->fatal_signal.process);
    if (area_->bench_error.load() != 0) return End::error;
    if (over) return End::outcome;
    if (const auto end = passed()) return *end;
    const std::int64_t start = now_ns();
    if (!prototype_.crowded && area_->finished.spin([&] { return area_->finished.get() != seen; })) continue;
    area_->finished.sleep_while(seen, suspects ? look_for_deaths_ns : look_at_everything_ns);
    if (now_ns() - start < look_at_everything_ns) continue;
    breathe_();
    if (const int process = unexpected_death(); process >= 0) return ended(process);
  }
}

// Kills the forked processes that do not end by themselves. A root reaps its own children before it sets up the next iteration. The runner reaps the
// processes further down.
void Iterations::end_children() {
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process)
    if (!root(process) && !ends_by_itself(prototype_, process) && alive(process) && area_->processes[process].reaped.load() == 0)
      kill(area_->processes[process].pid.load(), SIGKILL);
  bool below = false;
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process) {
    if (root(process) || root(program_.processes[process].parent) || life(process) != Life::born) continue;
    below = true;
    if (area_->processes[process].reaped.load() == 0) wait_for_death(area_->processes[process].pid.load(), 1000);
  }
  while (below && waitpid(-1, nullptr, __WALL | WNOHANG) > 0) {}
}

bool Iterations::clear(int longest_ms) {
  const std::int64_t deadline = now_ns() + longest_ms * ms;
  disturber_.end();
  area_->abort.store(1);
  roots_alive_ = false;
  const auto kill_all = [&] {
    for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process) {
      const ProcessRecord& record = area_->processes[process];
      if (record.pid.load() > 0 && record.reaped.load() == 0 && record.ended.load() == 0) kill(record.pid.load(), SIGKILL);
    }
    // Also kill children without a record: a child of an interrupted fork, and anything else that the runner inherited.
    if (now_ns() > deadline - longest_ms * ms / 2)
      for (pid_t child : children_of(getpid())) kill(child, SIGKILL);
  };
  kill_all();
  for (;;) {
    const pid_t pid = waitpid(-1, nullptr, __WALL | WNOHANG);
    if (pid > 0) {
      for (ProcessRecord& record : area_->processes)
        if (record.pid.load() == pid) record.ended.store(1);
      continue;
    }
    if (pid < 0 && errno == ECHILD) break;
    if (now_ns() > deadline) return false;
    kill_all();
    const auto survivor = std::ranges::find_if(
        area_->processes, [](const ProcessRecord& record) { return record.pid.load() > 0 && record.ended.load() == 0; });
    if (survivor != area_->processes.end()) wait_for_death(survivor->pid.load(), 1);
    else usleep(50);
  }
  for (ProcessRecord& record : area_->processes) {
    record.pid.store(0);
    record.life.store(static_cast<std::uint32_t>(Life::unborn));
  }
  return true;
}

bool Iterations::finish() {
  constexpr int longest_ms = 1000;
  for (int process = 0; process < static_cast<int>(program_.processes.size()); ++process)
    if (root(process) && suspect(process) != Suspect::no) return clear(longest_ms);
  end_children();
  return true;
}

std::string Iterations::error() const {
  if (error_.empty() && area_->bench_error.load() == 2) return area_->bench_error_text.data();
  return error_;
}

std::uint32_t Iterations::most_turns() const {
  // The first iteration runs alone, because it starts the processes.
  return prototype_.unasked && roots_alive_ && ended_ > 0 ? faultline::most_turns(program_, layout_) : 1;
}

// Sleeps until the last turn, or until a turn needs the runner, which is then the last one.
std::optional<Iterations::End> Iterations::wait_for_last_turn() {
  constexpr std::int64_t look_at_everything_ns = 20 * ms;
  const std::uint32_t first = round_;
  const auto leader = std::ranges::find_if(program_.processes, [](const Process& process) { return process.parent < 0; });
  const ProcessRecord& record = area_->processes[leader - program_.processes.begin()];
  Turns& turns = area_->turns;
  for (bool dull = true;;) {
    const std::uint32_t seen = area_->finished.get();
    const bool over =
        record.answered.load(std::memory_order_acquire) == record.command.get() || told() || area_->bench_error.load() != 0;
    const bool last = over || (turns.now.load() & Turns::stop) != 0;
    const std::uint32_t turn = last ? turns.now.fetch_or(Turns::stop) & ~Turns::stop : turns.now.load();
    if (round_ != first + turn) dull = true;
    round_ = first + turn;
    turns_kept_ = turn;
    if (over) return std::nullopt;
    // Look again after the stop: the leader may just have begun another turn.
    if (const auto end = passed()) {
      if (last) return end;
      turns.now.fetch_or(Turns::stop);
      continue;
    }
    const int process = dull ? -1 : unexpected_death();
    if (process >= 0) {
      if (last) return ended(process);
      turns.now.fetch_or(Turns::stop);
      continue;
    }
    const std::int64_t start = now_ns();
    area_->finished.sleep_while(seen, look_at_everything_ns);
    dull = now_ns() - start < look_at_everything_ns;
    if (!dull) breathe_();
  }
}

Iterations::End Iterations::run(const Row& row, const Limits& limits) { return run(std::span(&row, 1), limits); }

Iterations::End Iterations::run(std::span<const Row> rows, const Limits& limits) {
  error_.clear();
  limits_ = limits;
  limits_.deadline_ms += static_cast<int>(delay_ns(rows.front().disturbances) / ms);
  quiet_ns_ = longer_ns_ = 0;
  turns_kept_ = 0;
  launched_ns_ = now_ns();
  reset();
  if (!roots_alive_) start_roots();
  launch(rows);
  if (rows.size() > 1)
    if (const auto end = wait_for_last_turn()) return *end;
  return wait_for_end();
}

Iterations::End Iterations::go_on(int longer_ms) {
  // Make the deadline of the current phase `longer_ms` from now.
  longer_ns_ = now_ns() - since_ns() - limits_.deadline_ms * ms + longer_ms * ms;
  return wait_for_end();
}

Iterations::End Iterations::wait_for_end() {
  if (quiet_ns_ == 0) {
    const End end = wait_for_quiet();
    if (first_set_up_ns_ == 0 && has_started()) first_set_up_ns_ = area_->start_ns.load() - launched_ns_;
    if (end != End::outcome) return end;
    quiet_ns_ = now_ns();
    if (longer_ns_ == 0) {
      statements_ns_ += quiet_ns_ - area_->start_ns.load();
      ++ended_;
    }
    longer_ns_ = 0;
  }
  if (program_.observes.empty()) return End::outcome;
  for (;;) {
    if (const auto observed = observe()) return *observed;
    forget_readings(program_, *area_);
  }
}

}  // namespace faultline
