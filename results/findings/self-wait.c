// Shows the deadlock of self-wait.md: a process dies while a work item gives its queues back. The work item drops the last
// reference to the process's mm, and the notifier that this runs waits for that work item.
//
// A child makes queues. All of VRAM is evicted (debugfs), which takes the child's queues away, and 100 ms later they are given
// back. A kprobe tells when that begins: the child is killed in that moment. The more queues, the longer it takes. The next
// child then waits for ever for the lock of all queues, and sysrq says who is blocked. Needs root, and sched_policy=2.
//
// With the word late, the child is killed when it has its queues back.
//
// exit status: 0 no queue can be made any more, 1 it can after all rounds, 2 something failed
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "gpu.h"

enum { rounds = 40, queues = 8, patience_ms = 30000 };

static void write_file(const char* path, const char* text) {
  const int file = open(path, O_WRONLY);
  check(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), path);
  close(file);
}

static void evict_vram(void) {
  char path[64], text[32];
  int file = -1;
  for (int minor = 0; minor < 8 && file < 0; ++minor) {
    snprintf(path, sizeof path, "/sys/kernel/debug/dri/%d/amdgpu_evict_vram", minor);
    file = open(path, O_RDONLY);
  }
  check(file >= 0 && read(file, text, sizeof text) > 0, "amdgpu_evict_vram");
  close(file);
}

// Whether something can be read within the time.
static int comes(int file) {
  struct pollfd wanted = {.fd = file, .events = POLLIN};
  return poll(&wanted, 1, patience_ms) == 1 && (wanted.revents & POLLIN);
}

// A process with queues. 0: it did not get them in time.
static pid_t start_child(void) {
  int ready[2];
  check(pipe(ready) == 0, "pipe");
  const pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    close(ready[0]);
    struct gpu gpu = open_gpu(0);
    for (int queue = 0; queue < queues; ++queue) open_queue(&gpu);
    check(write(ready[1], "", 1) == 1, "write");
    pause();
    _exit(failed);
  }
  close(ready[1]);
  char byte;
  const int came = comes(ready[0]);
  check(!came || read(ready[0], &byte, 1) == 1, "the child's queues");
  close(ready[0]);
  return came ? child : 0;
}

int main(int count, char** words) {
  const int late = count > 1 && strcmp(words[1], "late") == 0;
  const char* tracing = "/sys/kernel/tracing";
  check(chdir(tracing) == 0, tracing);
  write_file("kprobe_events", "p:giving_back amdgpu:restore_process_queues_nocpsch");
  write_file("events/kprobes/giving_back/enable", "1");
  const int events = open("trace_pipe", O_RDONLY | O_CLOEXEC);
  check(events >= 0, "trace_pipe");
  static char event[65536];

  for (int round = 0; round < rounds; ++round) {
    const pid_t child = start_child();
    if (!child) {
      printf("shown: after round %d no queue can be made\n", round - 1);
      fflush(stdout);
      write_file("/proc/sysrq-trigger", "w");  // who is blocked
      _exit(shown);
    }
    evict_vram();
    if (!comes(events) || read(events, event, sizeof event) <= 0) return puts("the queues are not given back"), failed;
    if (late) usleep(300000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
  }
  puts("not shown");
  return not_shown;
}
