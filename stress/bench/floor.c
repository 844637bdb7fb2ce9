// The floor of the executor's bench: five scenarios by hand, as fast as they go.
//
//   floor NAME ITERATIONS [DEVICE]
//
// It makes the scenario's system calls, ioctls, accesses and forks, maps fresh memory for each iteration, and starts the
// threads at a time stamp, as the executor does. It keeps its threads. Beyond that it does nothing that costs time: no process
// that outlives what it tests, no deadline, no parameters, no record of what was seen but the last values.
// DEVICE is one of test_hmm's (/dev/hmm_dmirror0); without it the device is this CPU, as on the target `host`.
// Prints the loop's time, and the values that the last iteration loaded.
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { page = 4096, most_threads = 3, most_values = 8, signalled = 255, refused = 254 };
#define BASE ((char*)0x1000000000)
#define APART ((size_t)16 << 20)  // from region to region

static char* const a = BASE;
static char* const b = BASE + APART;

// A count that threads of several processes wait for.
struct count {
  atomic_uint value;
  atomic_uint sleepers;
};

// What processes share.
static struct shared {
  struct count round;  // bumped when an iteration begins
  atomic_long start_ns;
  struct count done;  // threads that have run their statements, in all rounds
  struct count met;   // at the barrier, in all rounds
  struct count look;  // the round whose end the child may look at
  uint64_t values[most_values];
} *shared;

struct scenario {
  const char* name;
  void (*set_up)(void);
  int threads;
  void (*thread[most_threads])(void);
  int child;              // whether a thread forks one
  void (*end)(void);      // what is observed in P
};

static const struct scenario* it;
static uint64_t iteration;
static int spins;    // turns of a wait before it sleeps; 0: there are more threads than CPUs
static int device = -1;
static int direct = -1, cached = -1;  // one file, with O_DIRECT and without
static pid_t child;
static __thread sigjmp_buf back;

static void fail(const char* what) {
  perror(what);
  exit(4);
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void add(struct count* count) {
  atomic_fetch_add(&count->value, 1);
  if (atomic_load(&count->sleepers)) syscall(SYS_futex, &count->value, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

// Waits until the count has reached `wanted`: spins for as long as a wake-up takes, and then sleeps.
static void wait_for(struct count* count, unsigned wanted) {
  for (int turn = 0;; ++turn) {
    const unsigned seen = atomic_load(&count->value);
    if ((int)(seen - wanted) >= 0) return;
    if (turn < spins) {
      __builtin_ia32_pause();
      continue;
    }
    atomic_fetch_add(&count->sleepers, 1);
    syscall(SYS_futex, &count->value, FUTEX_WAIT, seen, NULL, NULL, 0);
    atomic_fetch_sub(&count->sleepers, 1);
  }
}

static uint64_t word(unsigned value) { return iteration << 8 | value; }

static void on_signal(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

static uint64_t load(const char* address) {
  uint64_t value;
  if (sigsetjmp(back, 0)) return signalled;
  __asm__ volatile("mfence\n\tmov (%1), %0\n\tmfence" : "=r"(value) : "r"(address) : "memory");
  return value;
}

static void store(char* address, unsigned value) {
  const uint64_t bits = word(value);
  if (sigsetjmp(back, 0)) return;
  __asm__ volatile("mfence\n\tmov %1, (%0)\n\tmfence" : : "r"(address), "r"(bits) : "memory");
}

// struct hmm_dmirror_cmd of lib/test_hmm_uapi.h
struct command {
  uint64_t addr, ptr, npages, cpages, faults;
};

static int request(unsigned number, char* address, void* buffer) {
  struct command command = {(uintptr_t)address, (uintptr_t)buffer, 1, 0, 0};
  return ioctl(device, _IOWR('H', number, struct command), &command);
}

static uint64_t device_load(char* address) {
  _Alignas(page) uint64_t buffer[page / 8];
  if (device < 0) return load(address);
  return request(0, address, buffer) < 0 ? refused : buffer[0];
}

static void device_store(char* address, unsigned value) {
  _Alignas(page) uint64_t buffer[page / 8];
  if (device < 0) return store(address, value);
  buffer[0] = word(value);
  request(1, address, buffer);
}

static void map(char* region, int pages) {
  if (mmap(region, (size_t)pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != region)
    fail("mmap");
}

static void fill(char* region, int pages, unsigned value) {
  map(region, pages);
  for (int i = 0; i < pages; ++i) store(region + i * page, value);
}

static void meet(void) {
  add(&shared->met);
  wait_for(&shared->met, (unsigned)it->threads * (unsigned)iteration);
}

static void nothing(void) {}

static void see_a0(void) { shared->values[7] = load(a); }

// races/dontneed-stale-load
static void dontneed_set_up(void) { fill(a, 1, 5); }
static void dontneed_drop(void) { madvise(a, page, MADV_DONTNEED); }
static void dontneed_user(void) {
  device_store(a, 6);
  shared->values[0] = load(a);
  shared->values[1] = device_load(a);
}

// races/unmap-and-map-again
static void again_cpu(void) {
  munmap(a, page);
  map(a, 1);
  store(a, 6);
}
static void again_gpu(void) {
  shared->values[0] = device_load(a);
  shared->values[1] = device_load(a);
}

// races/direct-io-munmap
static void direct_set_up(void) {
  static _Alignas(page) uint64_t buffer[page / 8];
  fill(a, 1, 5);
  fill(b, 1, 6);
  buffer[0] = word(7);
  if (pwrite(direct, buffer, page, 0) != page) fail("pwrite");
  buffer[0] = 1;
  if (pwrite(direct, buffer, page, page) != page) fail("pwrite");
}
static void direct_in(void) {
  shared->values[0] = pread(direct, a, page, 0) == page ? 0 : refused;
  meet();
}
static void direct_out(void) {
  uint64_t got = refused;
  if (pwrite(direct, b, page, page) == page) (void)!pread(cached, &got, sizeof got, page);
  shared->values[1] = got;
  meet();
}
static void direct_cpu(void) {
  munmap(a, page);
  munmap(b, page);
  meet();
  map(a, 1);
  shared->values[2] = load(a);
}

// The child does its part, waits until it may look at what is observed, looks, and ends.
static void fork_child(void (*part)(void), void (*end)(void)) {
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) {
    child = pid;
    return;
  }
  part();
  add(&shared->done);
  if (end) {
    wait_for(&shared->look, (unsigned)iteration);
    end();
  }
  _exit(0);
}

// fork/late-cpu-store
static void late_set_up(void) { fill(a, 2, 0); }
static void late_user(void) {
  store(a, 1);
  store(a + page, 2);
}
static void late_child(void) {
  shared->values[0] = load(a);
  shared->values[1] = load(a + page);
}
static void late_child_end(void) {
  shared->values[2] = load(a);
  shared->values[3] = load(a + page);
}
static void late_fork(void) {
  fork_child(late_child, late_child_end);
  store(a, 3);
}
static void late_end(void) {
  shared->values[4] = load(a);
  shared->values[5] = load(a + page);
}

// fork/device-store-order
static void order_gpu(void) {
  device_store(a, 1);
  device_store(a + page, 1);
}
static void order_child(void) {
  shared->values[0] = load(a + page);
  shared->values[1] = load(a);
}
static void order_cpu(void) { fork_child(order_child, NULL); }

// mapping/dontneed-device-load
static void device_set_up(void) { fill(a, 2, 5); }
static void device_cpu(void) {
  shared->values[0] = device_load(a);
  shared->values[1] = device_load(a + page);
  madvise(a, 2 * page, MADV_DONTNEED);
  shared->values[2] = device_load(a + page);
  device_store(a, 6);
  shared->values[3] = load(a);
}

static const struct scenario scenarios[] = {
    {"dontneed-stale-load", dontneed_set_up, 2, {dontneed_drop, dontneed_user}, 0, see_a0},
    {"unmap-and-map-again", dontneed_set_up, 2, {again_cpu, again_gpu}, 0, see_a0},
    {"direct-io-munmap", direct_set_up, 3, {direct_in, direct_out, direct_cpu}, 0, nothing},
    {"late-cpu-store", late_set_up, 2, {late_user, late_fork}, 1, late_end},
    {"device-store-order", late_set_up, 2, {order_gpu, order_cpu}, 1, nothing},
    {"dontneed-device-load", device_set_up, 1, {device_cpu}, 0, nothing},
};

static void start_together(void) {
  const int64_t start = atomic_load(&shared->start_ns);
  while (now() < start) {
    if (spins) __builtin_ia32_pause();
    else sched_yield();
  }
}

static void* worker(void* own) {
  void (*const statements)(void) = *(void (**)(void))own;
  for (unsigned round = 1;; ++round) {
    wait_for(&shared->round, round);
    start_together();
    statements();
    add(&shared->done);
  }
  return NULL;
}

static void iterate(void) {
  const int64_t margin_ns = 3000;  // in which the threads see the new round
  munmap(BASE, 2 * APART);
  it->set_up();
  atomic_store(&shared->start_ns, now() + margin_ns);
  add(&shared->round);
  start_together();
  it->thread[0]();
  add(&shared->done);
  wait_for(&shared->done, (unsigned)(it->threads + it->child) * (unsigned)iteration);
  it->end();
  if (!it->child) return;
  add(&shared->look);
  if (waitpid(child, NULL, 0) != child) fail("waitpid");
}

static void open_files(void) {
  char path[32];
  direct = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT, 0600);
  if (direct < 0) fail("O_DIRECT in /var/tmp");
  snprintf(path, sizeof path, "/proc/self/fd/%d", direct);
  cached = open(path, O_RDONLY);
  if (cached < 0 || ftruncate(direct, 2 * page) != 0) fail("/proc/self/fd");
}

int main(int count, char** words) {
  const size_t known = sizeof scenarios / sizeof *scenarios;
  for (size_t i = 0; i < known && count > 2; ++i)
    if (strcmp(scenarios[i].name, words[1]) == 0) it = &scenarios[i];
  const long iterations = count > 2 ? atol(words[2]) : 0;
  if (!it || iterations < 1 || count > 4) {
    fprintf(stderr, "usage: floor NAME ITERATIONS [DEVICE]\nNAME is one of");
    for (size_t i = 0; i < known; ++i) fprintf(stderr, " %s", scenarios[i].name);
    fprintf(stderr, "\n");
    return 2;
  }
  if (count > 3 && (device = open(words[3], O_RDWR)) < 0) fail(words[3]);
  if (it->set_up == direct_set_up) open_files();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail("mmap");
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof cpus, &cpus);
  spins = it->threads > CPU_COUNT(&cpus) ? 0 : getenv("SPINS")? atoi(getenv("SPINS")) : 50;
  const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  for (int i = 1; i < it->threads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, worker, (void*)&it->thread[i]) != 0) fail("pthread_create");
  }
  const int64_t begin = now();
  for (long i = 0; i < iterations; ++i) {
    iteration = (uint64_t)i + 1;
    iterate();
  }
  printf("floor %s iterations %ld ns %lld values", it->name, iterations, (long long)(now() - begin));
  for (int i = 0; i < most_values; ++i) printf(" %u", (unsigned)(shared->values[i] & 255));
  printf("\n");
  return 0;
}
