#include "harness/run/machine.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace faultline {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t longest_line = 64 * 1024 * 1024;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    read = ends[0], write = ends[1];
  }
  ~Pipe() {
    if (read >= 0) ::close(read);
    if (write >= 0) ::close(write);
  }
  static int release(int& end) { return std::exchange(end, -1); }
};

}  // namespace

Machine::Machine(const Spec& spec)
    : name_(spec.name),
      console_(spec.console.empty() ? spec.errors : spec.console),
      errors_(spec.errors),
      device_log_(spec.device_log) {
  // A write to a dead machine must fail with an error, not kill the bench.
  ::signal(SIGPIPE, SIG_IGN);
  Pipe in;
  Pipe out;
  Pipe exec_error;
  const std::string words = errors_.empty() ? "/dev/null" : errors_;
  const int log = ::open(words.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) fail(words);
  std::vector<std::string> command = spec.command;
  for (std::string& word : command)
    if (word == "{console}") word = console_;
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);

  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) {
    ::close(log);
    fail("fork");
  }
  if (pid_ == 0) {
    // Only async-signal-safe calls: the parent may have threads.
    ::setpgid(0, 0);
    if (spec.dies_with_us) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (::getppid() != parent) ::_exit(127);
    }
    ::signal(SIGPIPE, SIG_DFL);
    ::dup2(in.read, 0);
    ::dup2(out.write, 1);
    ::dup2(log, 2);
    ::execvp(argv[0], argv.data());
    const int error = errno;
    (void)!::write(exec_error.write, &error, sizeof error);
    ::_exit(127);
  }
  ::setpgid(pid_, pid_);  // parent and child both do it, so that neither has to wait for the other
  ::close(log);
  ::close(Pipe::release(exec_error.write));
  int error = 0;
  if (::read(exec_error.read, &error, sizeof error) == sizeof error) {
    reap(milliseconds(1000));
    errno = error;
    fail(command.front());
  }
  to_ = Pipe::release(in.write);
  from_ = Pipe::release(out.read);
  ::fcntl(from_, F_SETFL, O_NONBLOCK);
  ::fcntl(to_, F_SETFL, O_NONBLOCK);
}

Machine::~Machine() {
  if (to_ >= 0) ::close(to_);
  if (!reap(milliseconds(3000))) {
    ::kill(-pid_, SIGTERM);
    if (!reap(milliseconds(2000))) kill();
  }
  // Kill anything that the child left behind in its group.
  ::kill(-pid_, SIGKILL);
  if (from_ >= 0) ::close(from_);
  struct stat status {};
  if (!errors_.empty() && ::stat(errors_.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0)
    ::unlink(errors_.c_str());  // remove the file if it is empty
}

bool Machine::send(const std::string& line) {
  std::string_view rest = line;
  while (true) {
    const ssize_t written = ::write(to_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      // A machine that stopped reading counts as gone.
      pollfd ready{to_, POLLOUT, 0};
      if (::poll(&ready, 1, 10'000) == 0) return false;
      continue;
    }
    if (written < 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
    if (rest.empty()) break;
  }
  return line.ends_with('\n') || send("\n");
}

Machine::Received Machine::receive(milliseconds wait) {
  const auto until = steady_clock::now() + wait;
  while (true) {
    const std::size_t end = buffer_.find('\n', scanned_);
    if (end != std::string::npos) {
      Received received{Received::Kind::line, buffer_.substr(0, end)};
      buffer_.erase(0, end + 1);
      scanned_ = 0;
      return received;
    }
    scanned_ = buffer_.size();
    if (buffer_.size() > longest_line) return {Received::Kind::gone, {}};
    const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now()).count();
    pollfd ready{from_, POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (count < 0 && errno == EINTR) return {};  // a signal: let the caller check for a stop
    if (count <= 0) return {};
    std::array<char, 65536> bytes;
    const ssize_t got = ::read(from_, bytes.data(), bytes.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return {Received::Kind::gone, {}};
    buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

void Machine::kill() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  reap(milliseconds(2000));
}

bool Machine::reap(milliseconds wait) {
  const auto until = steady_clock::now() + wait;
  while (!status_) {
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, WNOHANG);
    if (got == pid_) status_ = status;
    else if (got < 0 && errno != EINTR) status_ = 0;  // already reaped by other code
    else if (steady_clock::now() >= until) return false;
    else std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

std::string Machine::ending() {
  if (!reap(milliseconds(200))) return "";
  if (WIFSIGNALED(*status_)) {
    const char* abbreviation = ::sigabbrev_np(WTERMSIG(*status_));
    return std::string("killed by SIG") + (abbreviation ? abbreviation : "?");
  }
  return "exit status " + std::to_string(WEXITSTATUS(*status_));
}

std::uint64_t size_of(const std::string& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

std::vector<std::string> Machine::console_since(std::uint64_t mark, std::size_t limit) const {
  return last_lines(console_, mark, limit);
}

std::vector<std::string> last_lines(const std::string& name, std::uint64_t mark, std::size_t limit) {
  std::vector<std::string> lines;
  std::ifstream file(name, std::ios::binary);
  if (!file || !file.seekg(static_cast<std::streamoff>(mark))) return lines;
  const auto trim = [&] {
    if (lines.size() > limit) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(limit));
  };
  for (std::string line; std::getline(file, line);) {
    std::erase_if(line, [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
    if (!line.empty()) lines.push_back(std::move(line));
    if (lines.size() > limit + 1000) trim();  // bounds the memory, however long the file is
  }
  trim();
  return lines;
}

}  // namespace faultline
