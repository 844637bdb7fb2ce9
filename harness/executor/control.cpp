#include "harness/executor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/executor/parameters.h"
#include "harness/executor/process_watch.h"
#include "harness/executor/samples.h"
#include "harness/in_child.h"

namespace faultline {
namespace {

constexpr std::int64_t ms = 1'000'000;

// What the control process writes to its pipe after each part.
enum Word : unsigned char { plain_done = 'p', devices_done = 'd', cannot_open = 'e' };

void say(int to, unsigned char word) { (void)!write(to, &word, 1); }

bool do_plain() {
  constexpr std::size_t page = 4096;
  void* memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  auto* cell = static_cast<volatile int*>(memory);
  *cell = 7;
  const pid_t child = fork();
  if (child == 0) _exit(*cell == 7 ? 0 : 1);
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

[[noreturn]] void be_the_control(Target& target, const std::vector<int>& devices, int to) {
  if (!do_plain()) _exit(1);
  say(to, plain_done);
  for (const int device : devices)
    if (!target.open(device)) {
      const int error = errno;
      say(to, cannot_open);
      say(to, static_cast<unsigned char>(error));
      _exit(1);
    }
  say(to, devices_done);
  _exit(0);
}

class ControlProcess {
 public:
  ControlProcess(Target* target, const std::vector<int>& devices) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    from_ = ends[0];
    started_ns_ = now_ns();
    const pid_t runner = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      die_with(runner);
      if (target) be_the_control(*target, devices, ends[1]);
      if (!do_plain()) _exit(1);
      say(ends[1], plain_done);
      _exit(0);
    }
    close(ends[1]);
  }
  // If it does not die, it stays a child of the runner, and Iterations::clear() finds it.
  ~ControlProcess() {
    if (from_ >= 0) close(from_);
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    if (wait_for_death(pid_, 1000)) waitpid(pid_, nullptr, 0);
  }
  ControlProcess(const ControlProcess&) = delete;
  ControlProcess& operator=(const ControlProcess&) = delete;

  pid_t pid() const { return pid_; }

  // Waits for `wanted` and gives the time since the last word. Nothing if `wanted` did not come in time, if another word
  // came, or if `go_on`, which gets the time waited so far, returned false.
  std::optional<std::int64_t> hear(Word wanted, std::int64_t longest_ns, const std::function<bool(std::int64_t)>& go_on) {
    constexpr int look_ms = 50;
    while (from_ >= 0 && now_ns() - started_ns_ <= longest_ns) {
      pollfd watched{from_, POLLIN, 0};
      poll(&watched, 1, look_ms);
      unsigned char word = 0;
      if (const ssize_t got = read(from_, &word, 1); got == 1) {
        if (word == cannot_open) read_error();
        if (word != wanted) return std::nullopt;
        const std::int64_t now = now_ns(), took = now - started_ns_;
        started_ns_ = now;
        return took;
      } else if (got == 0) {
        return std::nullopt;
      }
      if (!go_on(now_ns() - started_ns_)) break;
    }
    return std::nullopt;
  }
  int error() const { return error_; }

 private:
  void read_error() {
    unsigned char code = 0;
    pollfd watched{from_, POLLIN, 0};
    poll(&watched, 1, 1000);
    error_ = read(from_, &code, 1) == 1 ? code : EIO;
  }

  pid_t pid_ = -1;
  int from_ = -1;
  int error_ = 0;
  std::int64_t started_ns_ = 0;
};

}  // namespace

const Pace& pace_here() {
  constexpr std::int64_t valid_ns = 10'000 * ms, longest_ns = 10'000 * ms;
  static Pace pace;
  static std::int64_t measured_ns = 0;
  if (measured_ns != 0 && now_ns() - measured_ns < valid_ns) return pace;
  pace.longest_offset_ns = measure_longest_offset_ns();
  ControlProcess control(nullptr, {});
  pace.plain_ns = control.hear(plain_done, longest_ns, [](std::int64_t) { return true; }).value_or(longest_ns);
  measured_ns = now_ns();
  return pace;
}

Control control_iteration(Target& target, const std::vector<int>& devices, const Usual& usual,
                          const std::function<void()>& breathe) {
  constexpr std::int64_t between_samples_ns = 500 * ms;
  constexpr std::int64_t longest_doubt_ns = 10'000 * ms;  // extra time to find out whether it is stuck or slow
  constexpr Needs needs{.still = 1000 * ms, .polls = INT64_MAX, .cpu = INT64_MAX};
  ControlProcess control(&target, devices);
  const auto plain = control.hear(plain_done, patience_ns(usual.plain_ns), [&](std::int64_t) {
    breathe();
    return true;
  });
  const std::int64_t usual_device = devices.empty() ? 0 : usual.device_ns;
  if (!plain || usual_device == 0) return judge_control(plain, usual.plain_ns, {}, 0, 0, Evidence::Kind::none);
  Evidence evidence;
  Sample last = take_sample(control.pid());
  const auto device = control.hear(devices_done, patience_ns(usual_device) + longest_doubt_ns, [&](std::int64_t since_ns) {
    breathe();
    if (now_ns() - last.machine.at_ns < between_samples_ns) return true;
    Sample now = take_sample(control.pid());
    evidence.add(between(last, now));
    last = std::move(now);
    return since_ns <= patience_ns(usual_device) || evidence.kind(needs) == Evidence::Kind::none;
  });
  return judge_control(plain, usual.plain_ns, device, usual_device, control.error(), evidence.kind(needs));
}

}  // namespace faultline
