// The C code that reproducers are made of, in pieces. A line with three slashes begins a piece and says what the piece
// defines. A reproducer gets the pieces with a name that it uses (pieces.cpp). What a scenario decides is generated: the
// addresses, `struct shared`, the threads, and the functions that main() calls.
/// syscall SYS_pidfd_open SYS_io_uring_setup SYS_userfaultfd
#include <sys/syscall.h>
/// err errx
#include <err.h>
/// errno EACCES EBADF EBUSY EEXIST EFAULT EINVAL EIO ENOENT ENOMEM ENXIO EPERM ESRCH ECHILD
#include <errno.h>
/// O_RDWR O_RDONLY O_WRONLY fallocate tee vmsplice pipe2
#include <fcntl.h>
/// io_uring_params io_uring_sqe
#include <linux/io_uring.h>
/// uffdio_api uffdio_register uffdio_range uffdio_copy UFFDIO_WAKE UFFDIO_UNREGISTER
#include <linux/userfaultfd.h>
/// poll
#include <poll.h>
/// pthread_create pthread_mutex_t
#include <pthread.h>
/// sched_yield
#include <sched.h>
/// sigsetjmp siglongjmp
#include <setjmp.h>
/// sigaction kill SIGKILL
#include <signal.h>
/// atomic_int atomic_thread_fence
#include <stdatomic.h>
/// uint64_t uintptr_t int64_t
#include <stdint.h>
/// printf fprintf snprintf fopen
#include <stdio.h>
/// exit atol strtol
#include <stdlib.h>
/// strcmp memset memcpy strerror strstr
#include <string.h>
/// ioctl _IOWR
#include <sys/ioctl.h>
/// mmap munmap mprotect mremap madvise msync memfd_create
#include <sys/mman.h>
/// prctl
#include <sys/prctl.h>
/// setrlimit
#include <sys/resource.h>
/// iovec
#include <sys/uio.h>
/// waitpid
#include <sys/wait.h>
/// clock_gettime
#include <time.h>
/// fork usleep access close read write pread pwrite ftruncate pipe2 pause _exit getpid
#include <unistd.h>
/// MADV_COLLAPSE
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
/// PAGE
#define PAGE 4096UL
/// NOT_REACHED ZERO ALIEN EXITED KILLED HIT FAULT SAME DIFFERENT NONE SYSTEM DEVICE SIGNAL
/* What a statement gave: 0 or the value of a load; -errno; SIGNAL + a signal; or one of the others. */
enum { SIGNAL = -8000, NOT_REACHED = -7000, ZERO /* nothing was stored to the page */, ALIEN /* garbage, or a stale page */,
       EXITED, KILLED, HIT, FAULT, SAME, DIFFERENT, NONE, SYSTEM, DEVICE };
/// VIA
/* A value that was stored through another page. */
#define VIA(page, value) (((page) - BASE) / (long)PAGE + 1) * 256 + (value)
/// WAIT
#define WAIT(reached) while (!(reached) && !s->broken) usleep(100)
/// hmm_dmirror_cmd
/* lib/test_hmm_uapi.h */
struct hmm_dmirror_cmd {
	uint64_t addr, ptr, npages, cpages, faults;
};
/// HMM_DMIRROR_READ
#define HMM_DMIRROR_READ _IOWR('H', 0x00, struct hmm_dmirror_cmd)
/// HMM_DMIRROR_WRITE
#define HMM_DMIRROR_WRITE _IOWR('H', 0x01, struct hmm_dmirror_cmd)
/// HMM_DMIRROR_MIGRATE_TO_DEV
#define HMM_DMIRROR_MIGRATE_TO_DEV _IOWR('H', 0x02, struct hmm_dmirror_cmd)
/// HMM_DMIRROR_MIGRATE_TO_SYS
#define HMM_DMIRROR_MIGRATE_TO_SYS _IOWR('H', 0x03, struct hmm_dmirror_cmd)
/// HMM_DMIRROR_SNAPSHOT
#define HMM_DMIRROR_SNAPSHOT _IOWR('H', 0x04, struct hmm_dmirror_cmd)
/// HMM_DMIRROR_EXCLUSIVE
#define HMM_DMIRROR_EXCLUSIVE _IOWR('H', 0x05, struct hmm_dmirror_cmd)
/// HMM_DMIRROR_CHECK_EXCLUSIVE
#define HMM_DMIRROR_CHECK_EXCLUSIVE _IOWR('H', 0x06, struct hmm_dmirror_cmd)
/// ---
/// now
static int64_t now(void) /* in ns */
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}
/// need
static void need(int there, const char *what)
{
	if (!there) {
		perror(what);
		s->broken = 1;
		pause();
	}
}
/// stagger
/* Waits from 0 to 1 ms. Short times are as likely as long ones. */
static void stagger(void)
{
	unsigned int random = ((unsigned int)now() ^ (unsigned int)(uintptr_t)&random) * 2654435761u;
	int64_t end = now() + ((int64_t)(random >> 28) << (random >> 8) % 17);

	while (now() < end)
		;
}
/// begin
/* The first threads start together. */
static void begin(void)
{
	for (s->begun++; s->begun < STARTERS;)
		sched_yield();
	stagger();
}
/// meet
/* A barrier for that many threads. */
static void meet(atomic_int *arrived, int threads)
{
	int mine = (*arrived)++;

	while (*arrived < (mine / threads + 1) * threads)
		sched_yield();
	stagger();
}
/// says
/* Whether the file has that text. */
static int says(const char *path, const char *text)
{
	char all[4096] = "";
	int fd = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? 0 : read(fd, all, sizeof(all) - 1);

	close(fd);
	errno = 0;
	return got > 0 && strstr(all, text);
}
/// spawn
static long spawn(int process, void (*run)(void))
{
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid == 0)
		run();
	s->pid[process] = pid;
	return 0;
}
/// spawn_mortal
static long spawn_mortal(int process, void (*run)(void)) /* the parent may be killed in fork() */
{
	int none = 0;
	pid_t pid = fork();

	need(pid >= 0, "fork");
	atomic_compare_exchange_strong(&s->pid[process], &none, pid ? pid : getpid());
	if (pid == 0 && s->over)
		_exit(0);
	if (pid == 0)
		run();
	return 0;
}
/// result
static long result(int failed)
{
	return failed ? -errno : 0;
}
/// word
/* A value in memory says in which iteration it was stored, and through which page. */
static uint64_t word(char *page, int value)
{
	return 0xfaULL << 56 | (s->iteration & 0xffff) << 40 | (uint64_t)(page - BASE) / PAGE << 8 | value;
}
/// meaning
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
/// on_fault access_point
static __thread sigjmp_buf access_point;

static void on_fault(int signal)
{
	siglongjmp(access_point, signal);
}
/// load
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
/// store
static long store(char *page, int value)
{
	int signal = sigsetjmp(access_point, 0);

	if (signal)
		return SIGNAL + signal;
	atomic_thread_fence(memory_order_seq_cst);
	*(volatile uint64_t *)page = word(page, value);
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}
/// map
static long map(char *page, long pages, int prot, int flags, int fd, long offset)
{
	return result(mmap(page, pages * PAGE, prot, flags, fd, offset * PAGE) == MAP_FAILED);
}
/// fill
static void fill(char *page, long pages, int value)
{
	for (; pages > 0; pages--, page += PAGE)
		*(volatile uint64_t *)page = word(page, value);
}
/// doom
static long doom(int process)
{
	pid_t pid = s->pid[process];

	if (pid <= 0)
		return -ESRCH;
	s->doomed[process] = 1;
	return result(kill(pid, SIGKILL));
}
/// reap
static long reap(int process)
{
	int status;

	if (s->pid[process] <= 0)
		return -ECHILD;
	if (waitpid(s->pid[process], &status, 0) < 0)
		return -errno;
	s->pid[process] = -1;
	return WIFEXITED(status) ? EXITED : KILLED;
}
/// dead
/* Whether the process is dead, with its memory gone, or will never be. */
static int dead(int process)
{
	static const int parent[] = { PARENTS };
	pid_t pid = s->pid[process];
	struct pollfd life = { .events = POLLIN };
	int gone;

	if (pid <= 0)
		return pid < 0 || (parent[process] >= 0 && (dead(parent[process]) || !s->left[parent[process]]));
	life.fd = syscall(SYS_pidfd_open, pid, 0);
	gone = life.fd < 0 || poll(&life, 1, 0) == 1;
	close(life.fd);
	return gone;
}
/// at_rest
static int at_rest(int process) /* nothing happens in the process any more */
{
	return dead(process) || (!s->left[process] && !s->doomed[process]);
}
/// show
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
/// ===
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
@checks@
	sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = on_fault, .sa_flags = SA_NODEFER }, NULL);
	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = on_fault, .sa_flags = SA_NODEFER }, NULL);
	signal(SIGALRM, stop);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (i = 0; i < iterations && now() < limit; i++) {
		memset(s, 0, sizeof(*s));
		s->iteration = first + i;
@start@
		alarm(60);
@wait@
		stop(0);
		while (waitpid(-1, NULL, 0) > 0)
			;
		if (s->broken)
			return 2;
		if (@shows@) {
			printf("iteration %ld:", i);
@print@
			printf("\nThe bug shows.\n");
			return 1;
		}
	}
	printf("%ld iterations: the bug did not show.\n", i);
	return 0;
}
