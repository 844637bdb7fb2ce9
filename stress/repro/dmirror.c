// Pieces of reproducers, as in runtime.c: the kernel's HMM test device.
/// hmm
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
/// device_load
static long device_load(int fd, char *page, long *faults)
{
	uint64_t copy[PAGE / 8] __attribute__((aligned(PAGE)));
	long error = hmm(fd, HMM_DMIRROR_READ, page, 1, copy, faults);

	return error ? error : meaning(copy[0], page);
}
/// device_store
static long device_store(int fd, char *page, int value, long *faults)
{
	uint64_t copy[PAGE / 8] __attribute__((aligned(PAGE))) = { word(page, value) };

	return hmm(fd, HMM_DMIRROR_WRITE, page, 1, copy, faults);
}
/// ask_device
static long ask_device(int fd, unsigned long what, char *page, int pages)
{
	char copy[16 * PAGE] __attribute__((aligned(PAGE)));

	return hmm(fd, what, page, pages, copy, NULL);
}
/// ask_device_failing
/* In the request, allocation `nth` of a page fails. Without pages first: what this thread touches for the first time counts. */
static long ask_device_failing(int fd, unsigned long what, char *page, int pages, int nth)
{
	char copy[16 * PAGE] __attribute__((aligned(PAGE))), text[4];
	int fail = open("/proc/thread-self/fail-nth", O_WRONLY);
	long error;

	memset(copy, 0, sizeof(copy));
	need(fail >= 0 && pwrite(fail, "0", 1, 0) == 1, "/proc/thread-self/fail-nth");
	hmm(fd, what, page, 0, copy, NULL);
	need(pwrite(fail, text, snprintf(text, sizeof(text), "%d", nth), 0) > 0, "fail-nth");
	error = hmm(fd, what, page, pages, copy, NULL);
	need(pwrite(fail, "0", 1, 0) == 1, "fail-nth");
	close(fail);
	return error;
}
/// snapshot
/* A letter for each page: ! error, . nothing, r w readable, writable, z Z zero page, d D in device memory, x another. */
static long snapshot(int fd, char *page, int pages, char *letters)
{
	unsigned char prot[16];
	long error = hmm(fd, HMM_DMIRROR_SNAPSHOT, page, pages, prot, NULL);

	for (int i = 0; i < pages && !error; i++) {
		int p = prot[i] & ~0x0c; /* the size of the page is the kernel's own business */

		letters[i] = prot[i] == 0xff ? '!' : p == 0 ? '.' : p == 1 ? 'r' : p == 2 ? 'w' : p == 0x11 ? 'z' :
			     p == 0x12 ? 'Z' : p == 0x21 ? 'd' : p == 0x22 ? 'D' : 'x';
	}
	return error;
}
/// open_device
static long open_device(int *device, const char *path)
{
	if (*device >= 0)
		return -EBUSY;
	*device = open(path, O_RDWR);
	return *device < 0 ? -errno : 0;
}
/// close_device
static long close_device(int *device)
{
	int fd = *device;

	*device = -1;
	return fd < 0 ? -EBADF : result(close(fd));
}
