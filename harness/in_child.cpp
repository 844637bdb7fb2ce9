#include "harness/in_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace faultline {
namespace {

using Clock = std::chrono::steady_clock;

bool write_all(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t wrote = write(fd, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

[[noreturn]] void be_asked(const std::function<std::string()>& ask, int answers, pid_t parent) {
  die_with(parent);
  const rlimit none{};
  setrlimit(RLIMIT_CORE, &none);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  try {
    _exit(write_all(answers, ask()) ? 0 : 1);  // skips the destructors of driver libraries
  } catch (...) {
    _exit(1);
  }
}

// False when the time ran out before the other end was closed.
bool read_all(int fd, Clock::time_point end, std::string& text) {
  for (char bytes[4096];;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd readable{fd, POLLIN, 0};
    const int ready = left <= 0 ? 0 : poll(&readable, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return false;
    const ssize_t got = read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    text.append(bytes, static_cast<std::size_t>(got));
  }
}

}  // namespace

void die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
}

ChildAnswer in_child(const std::function<std::string()>& ask, std::chrono::milliseconds patience) {
  ChildAnswer answer;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {.error = errno};
  const pid_t parent = getpid(), child = fork();
  if (child == 0) be_asked(ask, ends[1], parent);
  if (child < 0) answer.error = errno;
  close(ends[1]);
  if (child > 0) {
    answer.late = !read_all(ends[0], Clock::now() + patience, answer.text);
    if (answer.late) kill(child, SIGKILL);
    // A child that hangs in the kernel is not waited for; init will reap it.
    while (waitpid(child, &answer.status, answer.late ? WNOHANG : 0) < 0 && errno == EINTR) {}
  }
  close(ends[0]);
  return answer;
}

}  // namespace faultline
