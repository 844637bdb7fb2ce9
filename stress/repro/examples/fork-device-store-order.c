/*
 * fork-keeps-device-store-order
 *
 * fork() unmaps the device before it copies the first page: a child cannot hold a later
 * device store without the earlier one.
 *
 * This program looks for an outcome with
 *   C:r0 = 1 and C:r1 = 0
 * No healthy kernel shows it. In the terms of 'faultline explain' it is forbidden by:
 * fork-protects-last-page.
 * It was seen on Linux 6.1.192 with planted bug 18 (ci/lab mutants), lab:dmirror.
 *
 * Build it: cc -O2 -pthread THIS.c. Run it: ./a.out [ITERATIONS [SECONDS]]; without numbers
 * that is 10000 iterations, or 60 seconds if they take longer.
 * It needs the kernel's HMM test device (CONFIG_TEST_HMM), and root.
 * It prints the outcome and exits with 1 as soon as the bug shows; with 0 if it did not
 * show. 2: this machine lacks something, 3: an iteration did not end.
 *
 * The same as a scenario of faultline:
 *   device d: recoverable
 *   process P
 *     a: 2 pages anon rw = 0
 *   thread P.gpu on d
 *     store a[0] 1
 *     store a[1] 1
 *   thread P.cpu
 *     fork C
 *   process C
 *     r0 = load a[1]
 *     r1 = load a[0]
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define PAGE 4096UL
/* What a statement gave: 0 or the value of a load; -errno; SIGNAL + a signal; or one of the others. */
enum { SIGNAL = -8000, NOT_REACHED = -7000, ZERO /* nothing was stored to the page */, ALIEN /* garbage, or a stale page */,
       EXITED, KILLED, HIT, FAULT, SAME, DIFFERENT, NONE, SYSTEM, DEVICE };
#define WAIT(reached) while (!(reached) && !s->broken) usleep(100)
/* lib/test_hmm_uapi.h */
struct hmm_dmirror_cmd {
	uint64_t addr, ptr, npages, cpages, faults;
};
#define HMM_DMIRROR_WRITE _IOWR('H', 0x01, struct hmm_dmirror_cmd)

#define BASE ((char *)0x1000000000)
#define mem_a BASE
#define STARTERS 2 /* threads of the first processes */
enum { proc_P, proc_C, PROCESSES };

/* What all processes share. */
static struct shared {
	uint64_t iteration;
	atomic_int broken, begun, over, pid[PROCESSES], left[PROCESSES] /* threads */;
	long C_r0, C_r1;
} *s;

static int dev_P_d = -1;

static int64_t now(void) /* in ns */
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void need(int there, const char *what)
{
	if (!there) {
		perror(what);
		s->broken = 1;
		pause();
	}
}

/* Waits from 0 to 1 ms. Short times are as likely as long ones. */
static void stagger(void)
{
	unsigned int random = ((unsigned int)now() ^ (unsigned int)(uintptr_t)&random) * 2654435761u;
	int64_t end = now() + ((int64_t)(random >> 28) << (random >> 8) % 17);

	while (now() < end)
		;
}

/* The first threads start together. */
static void begin(void)
{
	for (s->begun++; s->begun < STARTERS;)
		sched_yield();
	stagger();
}

static long spawn(int process, void (*run)(void))
{
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid == 0)
		run();
	s->pid[process] = pid;
	return 0;
}

/* A value in memory says in which iteration it was stored, and through which page. */
static uint64_t word(char *page, int value)
{
	return 0xfaULL << 56 | (s->iteration & 0xffff) << 40 | (uint64_t)(page - BASE) / PAGE << 8 | value;
}

static long meaning(uint64_t found, char *page)
{
	if (!found)
		return ZERO;
	if (found >> 40 != word(page, 0) >> 40)
		return ALIEN;
	if (found >> 8 != word(page, 0) >> 8)
		return ((found >> 8 & 0xffffffff) + 1) * 256 + (found & 0xff); /* VIA */
	return found & 0xff;
}

static __thread sigjmp_buf access_point;

static void on_fault(int signal)
{
	siglongjmp(access_point, signal);
}

static long load(char *page)
{
	uint64_t found;
	int signal = sigsetjmp(access_point, 0);

	if (signal)
		return SIGNAL + signal;
	atomic_thread_fence(memory_order_seq_cst);
	found = *(volatile uint64_t *)page;
	atomic_thread_fence(memory_order_seq_cst);
	return meaning(found, page);
}

static void fill(char *page, long pages, int value)
{
	for (; pages > 0; pages--, page += PAGE)
		*(volatile uint64_t *)page = word(page, value);
}

static void show(const char *what, long r)
{
	static const char *const words[] = { "-", "zero", "alien", "exited", "killed", "hit", "fault", "same", "different",
					     "none", "system", "device" };

	if (r >= NOT_REACHED && r <= DEVICE)
		printf(" %s=%s", what, words[r - NOT_REACHED]);
	else if (r < 0)
		printf(" %s=%s %ld", what, r < NOT_REACHED ? "signal" : "errno", r < NOT_REACHED ? r - SIGNAL : -r);
	else
		printf(" %s=%ld%s", what, r & 0xff, r > 0xff ? " (stored through another page)" : "");
}

static long hmm(int fd, unsigned long request, char *page, int pages, void *buffer, long *faults)
{
	struct hmm_dmirror_cmd cmd;

	do {
		cmd = (struct hmm_dmirror_cmd){ .addr = (uintptr_t)page, .ptr = (uintptr_t)buffer, .npages = pages };
		if (ioctl(fd, request, &cmd) == 0) {
			if (faults)
				*faults = cmd.faults ? FAULT : HIT;
			return 0;
		}
	} while (errno == EINTR);
	return -errno;
}

static long device_store(int fd, char *page, int value, long *faults)
{
	uint64_t copy[PAGE / 8] __attribute__((aligned(PAGE))) = { word(page, value) };

	return hmm(fd, HMM_DMIRROR_WRITE, page, 1, copy, faults);
}

static void run_C(void) /* process C */
{
	stagger();
	s->C_r0 = load(mem_a + 1 * PAGE);
	s->C_r1 = load(mem_a);
	s->left[proc_C]--;
	for (;;)
		pause();
}

static void *run_P_cpu(void *unused)
{
	begin();
	spawn(proc_C, run_C);
	s->left[proc_P]--;
	return unused;
}

static void run_P(void) /* process P */
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	need(mmap(mem_a, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == mem_a, "mmap");
	fill(mem_a, 2, 0);
	dev_P_d = open("/dev/hmm_dmirror0", O_RDWR);
	need(dev_P_d >= 0, "/dev/hmm_dmirror0");
	need(!pthread_create(&(pthread_t){ 0 }, NULL, run_P_cpu, NULL), "a thread");
	begin();
	device_store(dev_P_d, mem_a, 1, NULL);
	device_store(dev_P_d, mem_a + 1 * PAGE, 1, NULL);
	s->left[proc_P]--;
	for (;;)
		pause();
}

/* Ends all processes of an iteration. A signal: the iteration did not end in a minute. */
static void stop(int signal)
{
	s->over = 1;
	for (int p = 0; p < PROCESSES; p++)
		if (s->pid[p] > 0)
			kill(s->pid[p], SIGKILL);
	if (signal)
		_exit(3);
}

int main(int argc, char **argv)
{
	long iterations = argc > 1 ? atol(argv[1]) : 10000, i;
	int64_t limit = now() + (argc > 2 ? atol(argv[2]) : 60) * 1000000000LL, first = now() >> 10;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (access("/dev/hmm_dmirror0", R_OK | W_OK))
		err(2, "/dev/hmm_dmirror0");
	sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = on_fault, .sa_flags = SA_NODEFER }, NULL);
	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = on_fault, .sa_flags = SA_NODEFER }, NULL);
	signal(SIGALRM, stop);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (i = 0; i < iterations && now() < limit; i++) {
		memset(s, 0, sizeof(*s));
		s->iteration = first + i;
		s->left[proc_P] = 2;
		s->left[proc_C] = 1;
		s->C_r0 = s->C_r1 = NOT_REACHED;
		spawn(proc_P, run_P);
		alarm(60);
		WAIT(!s->left[proc_P] && !s->left[proc_C]);
		stop(0);
		while (waitpid(-1, NULL, 0) > 0)
			;
		if (s->broken)
			return 2;
		if (s->C_r0 == 1 && s->C_r1 == 0) {
			printf("iteration %ld:", i);
			show("C:r0", s->C_r0);
			show("C:r1", s->C_r1);
			printf("\nThe bug shows.\n");
			return 1;
		}
	}
	printf("%ld iterations: the bug did not show.\n", i);
	return 0;
}
