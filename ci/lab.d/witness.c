// Shows that the bugs are in the mutants kernel. For each bug that needs no race, there is the
// shortest program that shows it. It runs on the healthy kernel and on its mutant, by changing
// faultline_mutant at run time. `N healthy clean, mutant seen` is the expected output.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, OLD = 11, NEW = 22 };
enum { DEADLINE_S = 20 };
enum { CANNOT = 77 };  // the witness could not run

struct command {
  uint64_t addr, ptr, npages, cpages, faults;
};
#define REQUEST(n) _IOWR('H', n, struct command)
enum { READ = 0, WRITE, TO_DEVICE, TO_SYSTEM, SNAPSHOT, EXCLUSIVE, CHECK_EXCLUSIVE };

static int device;
static uint64_t faults;
static char buffer[64 * PAGE];

static void need(int condition) {
  if (!condition) exit(CANNOT);
}

// 0 or an errno.
static int ask(int request, void* addr, uint64_t pages) {
  struct command c = {(uintptr_t)addr, (uintptr_t)buffer, pages, 0, 0};
  int failed = ioctl(device, REQUEST(request), &c);
  faults = c.faults;
  return failed ? errno : 0;
}

static int device_load(void* addr, int* value) {
  int error = ask(READ, addr, 1);
  *value = *(int*)buffer;
  return error;
}

static int device_store(void* addr, int value) {
  memset(buffer, 0, PAGE);
  *(int*)buffer = value;
  return ask(WRITE, addr, 1);
}

static int* at(char* base, int page) { return (int*)(base + page * PAGE); }

static char* map(int pages, int value) {
  char* p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(p != MAP_FAILED);
  for (int i = 0; value && i < pages; i++) *at(p, i) = value;
  return p;
}

static sigjmp_buf escape;
static void on_fault(int number) { siglongjmp(escape, number); }

// A child that inherits the mapping. When asked, it reports the value that it reads there; -1
// for a fault.
static int ask_child[2], child_says[2];
static void start_child(int* where) {
  need(!pipe(ask_child) && !pipe(child_says));
  if (fork()) return;
  int value = -1;
  char go;
  signal(SIGSEGV, on_fault);
  if (read(ask_child[0], &go, 1) == 1 && !sigsetjmp(escape, 1)) value = *(volatile int*)where;
  if (write(child_says[1], &value, sizeof value) < 0) _exit(1);
  _exit(0);
}
static int child_value(void) {
  int value;
  need(write(ask_child[1], "", 1) == 1);
  need(read(child_says[0], &value, sizeof value) == sizeof value);
  return value;
}
static int read_after_protect(void) {
  int v;
  char* p = map(1, OLD);
  need(!device_load(p, &v));
  mprotect(p, PAGE, PROT_NONE);
  return device_load(p, &v) == 0;
}

// Drops pages, lets others reuse their frames, and stores again. Does the device still use the old pages?
static int stale_after_drop(void) {
  int v;
  char* p = map(4, OLD);
  need(!ask(READ, p, 4));
  madvise(p, 4 * PAGE, MADV_DONTNEED);
  map(16, OLD);
  for (int i = 0; i < 4; i++) *at(p, i) = NEW;
  for (int i = 3; i >= 0; i--)
    if (device_load(at(p, i), &v) || v != NEW) return 1;
  return 0;
}

static int store_through_read_entry(void) {
  int v;
  char* p = map(1, OLD);
  start_child((int*)p);
  need(!device_load(p, &v));
  need(!device_store(p, NEW));
  return child_value() != OLD;
}

static int migration_keeps_values(void) {
  char* p = map(4, OLD);
  need(!ask(TO_DEVICE, p, 4));
  for (int i = 0; i < 4; i++)
    if (*at(p, i) != OLD) return 1;
  return 0;
}

static int store_lost_after_migration(void) {
  int v;
  char* p = map(1, OLD);
  need(!device_load(p, &v));
  need(!ask(TO_DEVICE, p, 1));
  need(!device_store(p, NEW));
  return *(volatile int*)p != NEW;
}

static int stale_after_cpu_fault(void) {
  int v;
  char* p = map(1, OLD);
  need(!ask(TO_DEVICE, p, 1));
  *(int*)p = NEW;
  return device_load(p, &v) || v != NEW;
}

static int errno_of_readonly(void) {
  char* p = map(1, OLD);
  mprotect(p, PAGE, PROT_READ);
  return device_store(p, NEW) != EPERM;
}

static int store_after_fork(void) {
  char* p = map(1, OLD);
  start_child((int*)p);
  need(!device_store(p, NEW));
  return child_value() != OLD;
}

static int readonly_insert(void) {
  char* p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(!ask(TO_DEVICE, p, 1));
  need(!ask(SNAPSHOT, p, 1));
  return (buffer[0] & 2) != 0;
}

static int store_entry_survives_fork(void) {
  char* p = map(1, OLD);
  need(!device_store(p, OLD));
  start_child((int*)p);
  need(!device_store(p, NEW));
  return child_value() != OLD;
}

static int last_page_shared(void) {
  char* p = map(4, OLD);
  start_child(at(p, 3));
  *at(p, 3) = NEW;
  return child_value() != OLD;
}

static int private_page_shared(void) {
  char* p = map(1, OLD);
  need(!ask(TO_DEVICE, p, 1));
  start_child((int*)p);
  *(volatile int*)p = NEW;
  return child_value() != OLD;
}

static int dontfork(void) {
  char* p = map(1, OLD);
  madvise(p, PAGE, MADV_DONTFORK);
  start_child((int*)p);
  return child_value() != -1;
}

static int store_after_protect(void) {
  char* p = map(1, OLD);
  signal(SIGSEGV, on_fault);
  if (sigsetjmp(escape, 1)) return 0;
  *(volatile int*)p = NEW;
  mprotect(p, PAGE, PROT_READ);
  *(volatile int*)p = NEW;
  return 1;
}

// MREMAP_DONTUNMAP, because the munmap() of a plain mremap() notifies as well.
static int load_where_it_was(void) {
  int v;
  char* p = map(1, OLD);
  need(!device_load(p, &v));
  need(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) != MAP_FAILED);
  return device_load(p, &v) || v != 0;
}

static int stale_after_cow(void) {
  int v;
  char* p = map(1, OLD);
  start_child((int*)p);
  need(!device_load(p, &v));
  *(int*)p = NEW;
  return device_load(p, &v) || v != NEW;
}

static int second_mapping_stays(void) {
  int v;
  char* p = map(8, OLD);
  mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ);
  need(!ask(READ, p, 8));
  munmap(p, 8 * PAGE);
  return device_load(at(p, 7), &v) == 0;
}

static int exclusive_stays(void) {
  char* p = map(1, OLD);
  need(!ask(EXCLUSIVE, p, 1));
  *(volatile int*)p = NEW;
  return ask(CHECK_EXCLUSIVE, p, 1) != 0;
}

static int stale_after_move(void) {
  int v;
  char* p = map(1, OLD);
  need(!device_load(p, &v));
  need(!madvise(p, PAGE, 101 /* MADV_SOFT_OFFLINE */));
  *(int*)p = NEW;
  return device_load(p, &v) || v != NEW;
}

static int stale_after_collapse(void) {
  int v;
  char* p = map(1024, OLD);
  p = (char*)(((uintptr_t)p + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
  need(!device_load(p, &v));
  need(!madvise(p, 2 << 20, 25 /* MADV_COLLAPSE */));
  *(int*)p = NEW;
  return device_load(p, &v) || v != NEW;
}

// Whether the page is on the device, or in swap.
static int is_elsewhere(void* addr) {
  uint64_t entry;
  int pagemap = open("/proc/self/pagemap", O_RDONLY);
  need(pread(pagemap, &entry, sizeof entry, (uintptr_t)addr / PAGE * sizeof entry) == sizeof entry);
  return entry >> 62 & 1;
}

static int migrated_page_comes_back(void) {
  char* p = map(2, OLD);
  need(!ask(TO_DEVICE, p, 2) && is_elsewhere(at(p, 1)));
  return !is_elsewhere(p);
}

static int pinned_page_goes(void) {
  int ends[2];
  struct iovec page = {map(1, OLD), PAGE};
  need(!pipe(ends) && vmsplice(ends[1], &page, 1, 0) == PAGE);
  ask(TO_DEVICE, page.iov_base, 1);
  return is_elsewhere(page.iov_base);
}

static int stale_after_reclaim(void) {
  static char header[PAGE];
  const uint32_t version_and_last_page[] = {1, 1023};
  memcpy(header + 1024, version_and_last_page, sizeof version_and_last_page);
  memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
  int v, disk = open("/dev/ram1", O_RDWR);
  need(pwrite(disk, header, PAGE, 0) == PAGE && !swapon("/dev/ram1", 0));
  char* p = map(1, OLD);
  need(!device_load(p, &v));
  need(!madvise(p, PAGE, 21 /* MADV_PAGEOUT */) && is_elsewhere(p));
  map(64, OLD);  // somebody else takes the page that was freed
  *(int*)p = NEW;
  int seen = device_load(p, &v) || v != NEW;
  need(!swapoff("/dev/ram1"));
  return seen;
}

static const struct witness {
  int mutant;
  int (*sees)(void);
} witnesses[] = {
    {1, read_after_protect},      {2, stale_after_drop},
    {3, stale_after_drop},              {7, store_through_read_entry},
    {8, migration_keeps_values},  {9, store_lost_after_migration},
    {10, stale_after_cpu_fault},  {11, errno_of_readonly},
    {12, store_after_fork},       {15, readonly_insert},
    {17, store_entry_survives_fork}, {18, last_page_shared},
    {20, private_page_shared},    {21, dontfork},
    {22, read_after_protect},     {23, store_after_protect},
    {24, load_where_it_was},      {25, stale_after_cow},
    {26, stale_after_drop},       {27, second_mapping_stays},
    {28, exclusive_stays},        {29, stale_after_move},
    {30, stale_after_collapse},   {31, migrated_page_comes_back},
    {32, pinned_page_goes},       {33, stale_after_reclaim},
};

static void be_mutant(int number) {
  FILE* f = fopen("/sys/module/kernel/parameters/faultline_mutant", "w");
  if (f && (fprintf(f, "%d", number) < 0 || fclose(f))) exit(CANNOT);
  if (!f && number) exit(CANNOT);
}

static const char* run(const struct witness* w, int mutant) {
  pid_t child = fork();
  if (!child) {
    be_mutant(mutant);
    device = open("/dev/hmm_dmirror0", O_RDWR);
    alarm(DEADLINE_S);
    _exit(device < 0 ? CANNOT : w->sees());
  }
  int status;
  waitpid(child, &status, 0);
  be_mutant(0);
  if (WIFSIGNALED(status)) return strsignal(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "clean" : WEXITSTATUS(status) == 1 ? "seen" : "not tried";
}

int main(void) {
  int wrong = 0;
  for (size_t i = 0; i < sizeof witnesses / sizeof *witnesses; i++) {
    const struct witness* w = &witnesses[i];
    const char* healthy = run(w, 0);
    const char* mutant = run(w, w->mutant);
    printf("%d healthy %s, mutant %s\n", w->mutant, healthy, mutant);
    fflush(stdout);
    wrong |= strcmp(healthy, "clean") || strcmp(mutant, "seen");
  }
  return wrong;
}
