// faultline-agent: runs scenarios on the machine it is on, for a client at the other end of a byte stream.
// The protocol is in harness/agent_protocol.h.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "drm_glue/dmirror.h"
#include "drm_glue/host.h"
#include "drm_glue/kernel_log.h"
#include "drm_glue/pagemap.h"
#include "harness/agent_protocol.h"
#include "harness/app/agent_runner.h"
#include "harness/parser.h"

namespace faultline::agent {
namespace {

constexpr const char* usage =
    R"(faultline-agent: runs scenarios on this machine for a faultline client.

usage: faultline-agent --stdio [--allow-crash]

A person does not start it: `faultline run` does, here, in the virtual lab, or over ssh. It reads requests
from stdin and writes events to stdout, one JSON object a line, until stdin ends. To talk to it by hand:

  echo '{"op":"hello"}' | faultline-agent --stdio      what this machine is, and which targets work on it

options:
  --stdio         speak the protocol on stdin and stdout
  --allow-crash   obey {"op":"crash"}, which panics the kernel (as the word faultline.crash=1 on the
                  kernel's command line does): for tests of the virtual lab
  --version       print the version
  --help          print this
)";

bool word_on_kernel_command_line(const std::string& wanted) {
  std::ifstream in("/proc/cmdline");
  for (std::string word; in >> word;)
    if (word == wanted) return true;
  return false;
}

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

class Agent {
 public:
  explicit Agent(bool allow_crash)
      : allow_crash_(allow_crash || word_on_kernel_command_line("faultline.crash=1")), frames_(real_kernel()) {
    targets_[0] = std::make_unique<HostTarget>();
    targets_[1] = std::make_unique<DmirrorTarget>();
  }
  int serve();

 private:
  void obey(const std::string& line);
  void obey(const HelloRequest&);
  void obey(const RunRequest& request);
  void obey(const StopRequest&);
  void obey(const QuitRequest&) { open_ = false; }
  void obey(const CrashRequest&);
  void refuse(const RunRequest& request, const std::string& why);
  void report_health();
  void forward_events();
  void send(const Event& event) { send_line(to_line(event)); }
  void send_line(const std::string& line);
  std::uint64_t id() const { return runner_ ? runner_->id() : 0; }

  const bool allow_crash_;
  std::array<std::unique_ptr<Target>, 2> targets_;
  PagemapFrames frames_;
  KernelLog log_;
  std::unique_ptr<Runner> runner_;
  LineReader requests_;
  bool open_ = true;
};

void Agent::send_line(const std::string& line) {
  const std::string bytes = line + "\n";
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t wrote = write(STDOUT_FILENO, bytes.data() + sent, bytes.size() - sent);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      open_ = false;  // the client is gone
      return;
    }
    sent += static_cast<std::size_t>(wrote);
  }
}

void Agent::obey(const HelloRequest&) {
  utsname name{};
  uname(&name);
  HelloEvent hello;
  hello.agent = version;
  hello.kernel = std::string(name.release) + " " + name.version;
  hello.arch = name.machine;
  hello.cpus = usable_cpus();
  hello.root = geteuid() == 0;
  hello.log = log_.unavailable().empty();
  hello.log_why = log_.unavailable();
  for (const auto& target : targets_) {
    const std::string why = target->unavailable();
    hello.targets.push_back({target->name(), why.empty(), why, target->capabilities()});
  }
  send(hello);
}

// An error that ends the run before it begins.
void Agent::refuse(const RunRequest& request, const std::string& why) {
  send(ErrorEvent{request.id, why});
  send(DoneEvent{request.id, 0});
}

void Agent::obey(const RunRequest& request) {
  // Emulated machines are some twenty times slower; page faults tell.
  constexpr std::int64_t slow_machine_ns = 100'000;
  constexpr int native_deadline_ms = 5'000;
  constexpr int slow_deadline_ms = 20'000;
  if (runner_) return refuse(request, "a run is in progress");
  Target* chosen = nullptr;
  for (const auto& target : targets_)
    if (target->name() == request.target) chosen = target.get();
  if (chosen == nullptr) return refuse(request, "there is no target \"" + request.target + "\"");
  if (const std::string why = chosen->unavailable(); !why.empty()) return send(SkippedEvent{request.id, why});
  try {
    const Program program = parse(request.text, request.file);
    std::string why = cannot_run(program, chosen->capabilities());
    if (why.empty()) why = cannot_execute(program);
    if (!why.empty()) return send(SkippedEvent{request.id, why});
    RunPlan plan = request.plan;
    if (plan.deadline_ms <= 0)
      plan.deadline_ms = measure_longest_offset_ns() > slow_machine_ns ? slow_deadline_ms : native_deadline_ms;
    if (plan.parameters)
      if (const std::string wrong = misfit(*plan.parameters, program, usable_cpus()); !wrong.empty())
        return refuse(request, wrong);
    runner_ = std::make_unique<Runner>(request.id, program, *chosen, &frames_, plan);
  } catch (const std::exception& error) {
    refuse(request, error.what());
  }
}

void Agent::obey(const StopRequest&) {
  if (runner_) runner_->ask_to_stop();
}

void Agent::obey(const CrashRequest&) {
  if (!allow_crash_) return send(ErrorEvent{id(), "crash: this agent was not started with --allow-crash"});
  const int fd = open("/proc/sysrq-trigger", O_WRONLY);
  if (fd < 0 || write(fd, "c", 1) != 1)
    send(ErrorEvent{id(), std::string("crash: /proc/sysrq-trigger: ") + strerror(errno)});
  if (fd >= 0) close(fd);
}

void Agent::obey(const std::string& line) {
  if (line.empty()) return;
  try {
    const Request request = parse_request(line);
    std::visit([&](const auto& what) { obey(what); }, request);
  } catch (const ProtocolError& error) {
    send(ErrorEvent{id(), std::string("bad request: ") + error.what()});
  }
}

void Agent::report_health() {
  for (auto& lines : log_.health()) send(HealthEvent{id(), std::move(lines)});
}

// The kernel's log is read before a message goes on: what a batch did to the kernel is told before the next,
// and all of it before "done".
void Agent::forward_events() {
  // Asked before the pipe is emptied: nothing comes after its end.
  const auto ended = runner_->ended();
  while (const auto line = runner_->next_line()) {
    report_health();
    send_line(*line);
    if (std::holds_alternative<DoneEvent>(parse_event(*line))) {
      runner_.reset();
      return;
    }
  }
  if (!ended) return;
  report_health();
  const std::uint64_t broken = id();
  runner_.reset();
  send(ErrorEvent{broken, "the runner ended: " + *ended});
  send(DoneEvent{broken, 0});
}

int Agent::serve() {
  constexpr int look_at_log_ms = 500;
  constexpr std::size_t longest_line = 16 << 20;
  while (open_) {
    std::array<pollfd, 3> watched{{{STDIN_FILENO, POLLIN, 0},
                                   {runner_ ? runner_->events_fd() : -1, POLLIN, 0},
                                   {runner_ ? runner_->life_fd() : -1, POLLIN, 0}}};
    if (poll(watched.data(), watched.size(), look_at_log_ms) < 0 && errno != EINTR) return 1;
    if (runner_ && (watched[1].revents != 0 || watched[2].revents != 0)) forward_events();
    else report_health();
    if (watched[0].revents == 0) continue;
    char buffer[65536];
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) break;
    requests_.feed({buffer, static_cast<std::size_t>(got)});
    while (open_) {
      const auto line = requests_.next();
      if (!line) break;
      obey(*line);
    }
    if (requests_.pending() > longest_line) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace faultline::agent

int main(int count, char** words) {
  bool stdio = false;
  bool allow_crash = false;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--stdio") stdio = true;
    else if (word == "--allow-crash") allow_crash = true;
    else if (word == "--help" || word == "-h") return fputs(faultline::agent::usage, stdout) < 0;
    else if (word == "--version") return printf("faultline-agent %s\n", faultline::agent::version) < 0;
    else {
      fprintf(stderr, "faultline-agent: unknown option '%s'; --help lists them\n", word.c_str());
      return 2;
    }
  }
  if (!stdio) {
    fputs(faultline::agent::usage, stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  return faultline::agent::Agent(allow_crash).serve();
}
