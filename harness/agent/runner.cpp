#include "harness/agent/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <system_error>

#include "harness/in_child.h"

namespace faultline::agent {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// Writes events as lines. Exits when the agent is gone, because nobody would read the results.
class Pipe : public Outlet {
 public:
  Pipe(int fd, const std::atomic<bool>& stop) : fd_(fd), stop_(stop) {}

  bool stop_requested() override { return stop_.load(); }

  void send(const Event& event) override {
    const std::string line = to_line(event) + "\n";
    for (std::size_t sent = 0; sent < line.size();) {
      const ssize_t wrote = write(fd_, line.data() + sent, line.size() - sent);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) _exit(1);
      sent += static_cast<std::size_t>(wrote);
    }
  }

 private:
  const int fd_;
  const std::atomic<bool>& stop_;
};

// Makes events of what execute() tells.
class EventListener : public RunListener {
 public:
  EventListener(std::uint64_t id, Outlet& outlet) : id_(id), outlet_(outlet) {}

  void batch(const Batch& batch) override { outlet_.send(BatchEvent{id_, batch}); }
  void hang(const Hang& hang) override { outlet_.send(HangEvent{id_, hang}); }
  void crash(const Crash& crash) override { outlet_.send(CrashEvent{id_, crash}); }
  void error(const std::string& message) override { outlet_.send(ErrorEvent{id_, message}); }
  void driver(std::uint64_t iteration, const std::string& words) override { outlet_.send(DriverEvent{id_, iteration, words}); }
  void alive() override { outlet_.send(AliveEvent{id_}); }
  bool stop_requested() override { return outlet_.stop_requested(); }

 private:
  const std::uint64_t id_;
  Outlet& outlet_;
};

// Replaces stdin and stdout by /dev/null. The processes under test inherit these, and must not read from the client's stream
// or keep it open.
void let_go_of_the_stream() {
  const int null = open("/dev/null", O_RDWR);
  if (null < 0) return;
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  if (null > STDERR_FILENO) close(null);
}

[[noreturn]] void be_the_runner(std::uint64_t id, const Job& job, int fd, const std::atomic<bool>& stop, pid_t agent) {
  setpgid(0, 0);
  die_with(agent);
  let_go_of_the_stream();
  Pipe pipe(fd, stop);
  try {
    pipe.send(DoneEvent{id, job(pipe)});
  } catch (const std::exception& error) {
    pipe.send(ErrorEvent{id, error.what()});
    pipe.send(DoneEvent{id, 0});
  }
  _exit(0);
}

}  // namespace

Job run_job(std::uint64_t id, const Program& program, Target& target, Frames* frames, const RunPlan& plan, Experience& learnt) {
  return [=, &target, &learnt](Outlet& outlet) {
    EventListener listener(id, outlet);
    return execute(program, target, frames, plan, listener, &learnt);
  };
}

Runner::Runner(std::uint64_t id, const Job& job) : id_(id) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  const pid_t agent = getpid();
  pid_ = fork();
  if (pid_ < 0) fail("fork of the runner");
  if (pid_ == 0) {
    close(ends[0]);
    be_the_runner(id, job, ends[1], *stop_, agent);
  }
  setpgid(pid_, pid_);  // the runner does the same, so that it is done whichever runs first
  close(ends[1]);
  events_ = ends[0];
  fcntl(events_, F_SETFL, O_NONBLOCK);
  life_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (life_ < 0) fail("pidfd_open");
}

Runner::~Runner() {
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {}
  // If the agent is a subreaper, it inherits the processes below the runner, so reap them. A stuck process is left behind.
  constexpr int tries = 200;
  for (int i = 0; i < tries; ++i) {
    const pid_t orphan = waitpid(-1, nullptr, __WALL | WNOHANG);
    if (orphan < 0) break;
    if (orphan == 0) usleep(1000);
  }
  close(events_);
  close(life_);
}

void Runner::ask_to_stop() { stop_->store(true); }

void Runner::drain() {
  char buffer[65536];
  for (;;) {
    const ssize_t got = read(events_, buffer, sizeof buffer);
    if (got > 0) lines_.feed({buffer, static_cast<std::size_t>(got)});
    else if (got < 0 && errno == EINTR) continue;
    else return;
  }
}

std::optional<std::string> Runner::next_line() {
  drain();
  return lines_.next();
}

std::optional<std::string> Runner::ended() {
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return "exit status " + std::to_string(info.si_status);
  return "signal " + std::to_string(info.si_status);
}

}  // namespace faultline::agent
