// Shows the livelock of released-bo.md: the worker that answers a GPU fault waits in svm_range_validate_svm_bo() for a work
// item that its own CPU would have to run, behind it.
//
// The CPU's thread has SCHED_FIFO: when it gives svms->lock to the GPU's fault, it goes on, drops the last reference to the
// page in VRAM, and so queues the work item before that one runs. With one CPU (ci/lab exec --cpus 1) it takes a few rounds.
// Then sysrq says who runs, and which work is pending. Needs root.
//
// With the word in-place, the page stays in system memory, and the CPU's thread drops it instead: as many faults, but no BO that
// could be released.
//
// exit status: 0 the GPU's fault is never answered, 1 all 300 were, 2 something failed
#include <pthread.h>
#include <sched.h>

#include "gpu.h"

enum { rounds = 300 };
static volatile uint32_t* a;
static volatile int over;

static void sysrq(const char* key) {
  const int file = open("/proc/sysrq-trigger", O_WRONLY);
  check(file >= 0 && write(file, key, 1) == 1, "/proc/sysrq-trigger");
  close(file);
}

static int in_place;

// Brings the page back to system memory, or drops it, again and again.
static void* disturb(void* unused) {
  const struct sched_param first = {.sched_priority = 1};
  check(sched_setscheduler(0, SCHED_FIFO, &first) == 0, "SCHED_FIFO");
  while (!over) {
    if (in_place) check(madvise((void*)a, page_bytes, MADV_DONTNEED) == 0, "MADV_DONTNEED");
    else (void)*a;
    usleep(3000);  // svm_range_restore_pages() takes a fault for repaired within 2 ms of a mapping
  }
  return unused;
}

int main(int count, char** words) {
  in_place = count > 1 && strcmp(words[1], "in-place") == 0;
  struct gpu gpu = open_gpu(1);
  open_queue(&gpu);
  a = pages(page_bytes);
  volatile uint32_t* copy = pages(page_bytes);
  if (in_place) set_attribute(&gpu, (void*)a, page_bytes, KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu.id);
  else set_attribute(&gpu, (void*)a, page_bytes, KFD_IOCTL_SVM_ATTR_PREFERRED_LOC, gpu.id);
  set_attribute(&gpu, (void*)copy, page_bytes, KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu.id);
  pthread_t thread;
  check(pthread_create(&thread, NULL, disturb, NULL) == 0, "pthread_create");
  for (int round = 0; round < rounds; ++round) {
    if (gpu_copy(&gpu, (void*)copy, (void*)a)) continue;
    printf("shown: in round %d the GPU's fault is not answered\n", round);
    fflush(stdout);
    sysrq("l");  // who runs
    sysrq("t");  // ... and which work is pending
    _exit(shown);
  }
  over = 1;
  pthread_join(thread, NULL);
  puts("not shown");
  return not_shown;
}
