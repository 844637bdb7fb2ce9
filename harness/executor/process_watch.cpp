#include "harness/executor/process_watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace faultline {

bool wait_for_death(pid_t pid, int longest_ms) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return errno == ESRCH;
  pollfd watched{fd, POLLIN, 0};
  const int ready = poll(&watched, 1, longest_ms);
  close(fd);
  return ready == 1;
}

bool is_dead(pid_t pid) { return wait_for_death(pid, 0); }

Ending ending_of(pid_t child) {
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != child) return {};
  return {info.si_code == CLD_EXITED ? Ending::Kind::exit : Ending::Kind::signal, info.si_status};
}

namespace {

struct Kinship {
  pid_t pid;
  pid_t parent;
};

std::vector<Kinship> all_processes() {
  std::vector<Kinship> all;
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return all;
  while (const dirent* entry = readdir(directory)) {
    const pid_t pid = static_cast<pid_t>(strtol(entry->d_name, nullptr, 10));
    if (pid <= 0) continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    char text[512];
    const ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) continue;
    text[got] = '\0';
    const char* after = strrchr(text, ')');  // "pid (command) state ppid"
    int owner = 0;
    if (after != nullptr && sscanf(after + 1, " %*c %d", &owner) == 1) all.push_back({pid, owner});
  }
  closedir(directory);
  return all;
}

}  // namespace

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const Kinship& each : all_processes())
    if (each.parent == parent) children.push_back(each.pid);
  return children;
}

std::vector<pid_t> descendants_of(pid_t parent) {
  const std::vector<Kinship> all = all_processes();
  std::vector<pid_t> below{parent};
  for (std::size_t i = 0; i < below.size(); ++i)
    for (const Kinship& each : all)
      if (each.parent == below[i]) below.push_back(each.pid);
  below.erase(below.begin());
  return below;
}

}  // namespace faultline
