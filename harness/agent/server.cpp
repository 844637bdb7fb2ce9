#include "harness/agent/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <utility>

#include "harness/executor/control.h"
#include "harness/executor/direct_file.h"
#include "harness/executor/files.h"
#include "harness/executor/memory_need.h"
#include "harness/executor/page_failure.h"
#include "harness/executor/page_means.h"
#include "harness/language/parser.h"
#include "harness/version.h"

namespace faultline::agent {
namespace {

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

// Emulated machines are some twenty times slower. The time of page faults tells them apart.
int own_deadline_ms() {
  constexpr std::int64_t slow_machine_ns = 100'000;
  constexpr int native_ms = 5'000;
  constexpr int slow_ms = 20'000;
  return pace_here().longest_offset_ns > slow_machine_ns ? slow_ms : native_ms;
}

}  // namespace

Agent::Agent(int in, int out, bool allow_crash, std::vector<std::unique_ptr<Target>> targets, std::unique_ptr<Watch> watch,
             Storms storms)
    : in_(in),
      out_(out),
      allow_crash_(allow_crash || word_on_kernel_command_line("faultline.crash=1")),
      lab_(word_on_kernel_command_line("faultline.lab=1")),
      targets_(std::move(targets)),
      watch_(std::move(watch)),
      storms_(std::move(storms)) {
  if (lab_) allow_page_failures();
}

void Agent::send_line(const std::string& line) {
  const std::string bytes = line + "\n";
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t wrote = write(out_, bytes.data() + sent, bytes.size() - sent);
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
  hello.log_why = watch_->log_unavailable();
  hello.log = hello.log_why.empty();
  hello.files = disk_text();
  for (const auto& target : targets_) {
    const std::string why = target->unavailable();
    hello.targets.push_back({target->name(), why.empty(), why, target->about(), capabilities_here(*target), target->crashed()});
  }
  send(hello);
}

// Answers with an error, and ends the run before it begins.
void Agent::refuse(std::uint64_t request, const std::string& why) {
  send(ErrorEvent{request, why});
  send(DoneEvent{request, 0});
}

Target* Agent::chosen(std::uint64_t request, const std::string& name) {
  if (runner_) {
    refuse(request, "a run is in progress");
    return nullptr;
  }
  const auto found = std::ranges::find_if(targets_, [&](const auto& target) { return target->name() == name; });
  if (found == targets_.end()) {
    refuse(request, "there is no target \"" + name + "\"");
    return nullptr;
  }
  std::string why = (*found)->unavailable();
  if (why.empty()) why = watch_->gone((*found)->gpus());
  if (why.empty()) return found->get();
  send(SkippedEvent{request, why});
  return nullptr;
}

void Agent::obey(const RunRequest& request) {
  Target* const target = chosen(request.id, request.target);
  if (target == nullptr) return;
  try {
    const Program program = parse(request.text, request.file);
    const PageMeans pages = lab_ ? arrange_page_means(program, *target) : PageMeans{};  // before the target looks for swap
    if (const std::string why = cannot_run(program, capabilities_here(*target)); !why.empty())
      return send(SkippedEvent{request.id, why});
    if (const std::string why = too_much_memory(program); !why.empty()) return send(SkippedEvent{request.id, why});
    RunPlan plan = request.plan;
    plan.pages = pages;
    const int deadline_ms = own_deadline_ms();  // also where one is given: the runner inherits the measured pace
    if (plan.deadline_ms <= 0) plan.deadline_ms = deadline_ms;
    if (plan.parameters)
      if (const std::string wrong = misfit(*plan.parameters, program, usable_cpus()); !wrong.empty())
        return refuse(request.id, wrong);
    watch_->begin(target->gpus(), target->driver());
    runner_ =
        std::make_unique<Runner>(request.id, run_job(request.id, program, *target, watch_->frames(), plan, *learnt_[target]));
  } catch (const std::exception& error) {
    refuse(request.id, error.what());
  }
}

void Agent::obey(const StormRequest& asked) {
  if (!storms_) return refuse(asked.id, "this agent runs no storms");
  Target* const target = chosen(asked.id, asked.target);
  if (target == nullptr) return;
  StormRequest request = asked;
  if (request.plan.deadline_ms <= 0) request.plan.deadline_ms = own_deadline_ms();
  try {
    watch_->begin(target->gpus(), target->driver());
    runner_ = std::make_unique<Runner>(asked.id, [&](Outlet& outlet) { return storms_(request, *target, outlet); });
  } catch (const std::exception& error) {
    refuse(asked.id, error.what());
  }
}

void Agent::obey(const StopRequest&) {
  if (runner_) runner_->ask_to_stop();
}

void Agent::obey(const CrashRequest&) {
  if (!allow_crash_) return send(ErrorEvent{id(), "crash: this agent was not started with --allow-crash"});
  const int fd = open("/proc/sysrq-trigger", O_WRONLY);
  if (fd < 0 || write(fd, "c", 1) != 1) send(ErrorEvent{id(), std::string("crash: /proc/sysrq-trigger: ") + strerror(errno)});
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
  // A splat in every iteration would fill megabytes, and say nothing that the first did not.
  constexpr std::size_t most_reports = 3;
  auto reports = watch_->log_reports();
  if (reports.size() > most_reports) {
    reports[most_reports - 1].push_back("(and " + std::to_string(reports.size() - most_reports) + " more reports)");
    reports.resize(most_reports);
  }
  for (auto& lines : reports) send(HealthEvent{id(), std::move(lines)});
  for (auto& lines : watch_->gpu_reports()) send(HealthEvent{id(), std::move(lines)});
  for (const std::string& words : watch_->words()) send(DriverEvent{id(), std::nullopt, words});
}

// Ends all processes of the run first. Only then can watch_->end() see what a GPU has kept, such as memory that was not freed.
void Agent::finish_run() {
  const std::uint64_t run = id();
  runner_.reset();
  if (DriverCalls calls = watch_->calls(); !calls.empty()) send(CallsEvent{run, std::move(calls)});
  for (auto& lines : watch_->end()) send(HealthEvent{run, std::move(lines)});
}

// Reads the kernel log before it forwards a message. So the effects of a batch on the kernel are reported before the next
// batch, and all of them before "done".
void Agent::forward_events() {
  // Ask this before emptying the pipe: if the runner has ended by now, the pipe holds all of its lines.
  const auto ended = runner_->ended();
  while (const auto line = runner_->next_line()) {
    report_health();
    // Not parsed: a batch is long. Within the texts of an event, quotes are escaped.
    const bool done = line->find(R"("ev":"done")") != std::string::npos;
    if (done) finish_run();
    send_line(*line);
    if (done) return;
  }
  if (!ended) return;
  report_health();
  const std::uint64_t broken = id();
  finish_run();
  send(ErrorEvent{broken, "the runner ended: " + *ended});
  send(DoneEvent{broken, 0});
}

int Agent::serve() {
  constexpr int look_at_log_ms = 500;
  constexpr std::size_t longest_line = 16 << 20;
  while (open_) {
    std::array<pollfd, 3> watched{
        {{in_, POLLIN, 0}, {runner_ ? runner_->events_fd() : -1, POLLIN, 0}, {runner_ ? runner_->life_fd() : -1, POLLIN, 0}}};
    if (poll(watched.data(), watched.size(), look_at_log_ms) < 0 && errno != EINTR) return 1;
    if (runner_ && (watched[1].revents != 0 || watched[2].revents != 0)) forward_events();
    else report_health();
    if (watched[0].revents == 0) continue;
    char buffer[65536];
    const ssize_t got = read(in_, buffer, sizeof buffer);
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

}  // namespace faultline::agent
