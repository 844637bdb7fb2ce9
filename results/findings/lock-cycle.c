// Shows the lock cycle of lock-cycle.md: migrates one page to VRAM, and prints what lockdep says of it. For a kernel with
// PROVE_LOCKING on which lockdep has not yet reported anything.
//
// exit status: 0 lockdep reports a cycle with prange->lock and mgr->lock, 1 it does not, 2 something failed
#include "gpu.h"

int main(void) {
  const int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  check(log >= 0, "/dev/kmsg");
  lseek(log, 0, SEEK_END);

  const struct gpu gpu = open_gpu(1);
  char* a = pages(page_bytes);
  set_attribute(&gpu, a, page_bytes, KFD_IOCTL_SVM_ATTR_PREFETCH_LOC, gpu.id);

  int cycle = 0, range = 0, manager = 0;
  char record[8192];
  usleep(500000);  // the report is printed by the task that takes the lock, but the console may be slow
  for (ssize_t got; (got = read(log, record, sizeof record - 1)) > 0;) {
    record[got] = 0;
    const char* text = strchr(record, ';');
    fputs(text ? text + 1 : record, stdout);
    if (strstr(record, "possible circular locking")) cycle = 1;
    if (strstr(record, "(&prange->lock)")) range = 1;
    if (strstr(record, "(&mgr->lock")) manager = 1;
  }
  puts(cycle && range && manager ? "shown: lockdep reports the cycle" : "not shown");
  return cycle && range && manager ? shown : not_shown;
}
