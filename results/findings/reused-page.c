// Shows the reuse of reused-page.md: a GPU fault makes a page of VRAM anew to which a CPU fault still holds a reference.
// A kprobe on zone_device_page_init() tells the page's references; ftrace is dumped if the kernel dies of it.
//
// The CPU's thread has SCHED_IDLE: when it gives svms->lock to the GPU's fault, that one runs at once. So it takes a machine
// with one CPU (ci/lab exec --cpus 1), where it takes a few rounds. Needs root.
//
// exit status: 0 a page was made anew with references, 1 none in 500 rounds, 2 something failed. With VM_BUG_ON
// (CONFIG_DEBUG_VM) the kernel may die instead.
#include <pthread.h>
#include <sched.h>

#include "gpu.h"

static volatile uint32_t* a;
static volatile int over;

static void write_file(const char* path, const char* text) {
  const int file = open(path, O_WRONLY);
  check(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), path);
  close(file);
}

// Brings the page back to system memory, again and again.
static void* read_by_cpu(void* unused) {
  const struct sched_param none = {0};
  check(sched_setscheduler(0, SCHED_IDLE, &none) == 0, "SCHED_IDLE");
  while (!over) {
    (void)*a;
    usleep(5000);  // svm_range_restore_pages() takes a fault for repaired within 2 ms of a mapping
  }
  return unused;
}

int main(void) {
  const char* tracing = "/sys/kernel/tracing";
  check(chdir(tracing) == 0, tracing);
  write_file("kprobe_events", "p:made zone_device_page_init references=+52(%di):s32");  // struct page's _refcount
  write_file("events/kprobes/made/filter", "references != 0");
  write_file("events/kprobes/made/enable", "1");
  write_file("/proc/sys/kernel/ftrace_dump_on_oops", "1");

  struct gpu gpu = open_gpu(1);
  open_queue(&gpu);
  a = pages(page_bytes);
  volatile uint32_t* copy = pages(page_bytes);
  set_attribute(&gpu, (void*)a, page_bytes, KFD_IOCTL_SVM_ATTR_PREFERRED_LOC, gpu.id);
  set_attribute(&gpu, (void*)copy, page_bytes, KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu.id);
  pthread_t thread;
  check(pthread_create(&thread, NULL, read_by_cpu, NULL) == 0, "pthread_create");

  static char events[65536];
  int found = 0;
  for (int round = 0; round < 20000 && !found; ++round) {
    check(gpu_copy(&gpu, (void*)copy, (void*)a), "a copy");
    const int trace = open("trace", O_RDONLY);
    const ssize_t got = read(trace, events, sizeof events - 1);
    events[got > 0 ? got : 0] = 0;
    close(trace);
    const char* line = strstr(events, "references=");
    found = line != NULL;
    if (found) printf("shown: in round %d zone_device_page_init() got a page with %.13s\n", round, line);
  }
  over = 1;
  pthread_join(thread, NULL);
  if (!found) puts("not shown");
  return found ? shown : not_shown;
}
