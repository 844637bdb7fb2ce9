// Pieces of reproducers, as in runtime.c: files, and where pages are.
/// make_file
/* An unnamed file, all zero and in the page cache; on a disk if one has what the scenario needs. */
static int make_file(int on_disk, int pages)
{
	static const char zeroes[PAGE];
	int fd = on_disk ? open("/var/tmp", O_TMPFILE | O_RDWR, 0600) : -1;

	if (fd >= 0 && (ftruncate(fd, PAGE) || fallocate(fd, 3 /* punch a hole */, 0, PAGE))) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		fd = memfd_create("repro", 0);
	need(fd >= 0 && !ftruncate(fd, 0), "a file");
	for (int i = 0; i < pages; i++)
		need(pwrite(fd, zeroes, PAGE, i * PAGE) == PAGE, "a file");
	return fd;
}
/// direct_file
/* For O_DIRECT. Each statement has a page of it. */
static int direct_fd = -1, cached_fd;

static void direct_file(int slot, char *page, int value)
{
	static char buffer[PAGE] __attribute__((aligned(PAGE)));
	uint64_t first = page ? word(page, value) : 1;
	char path[32];

	if (direct_fd < 0) {
		direct_fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT, 0600);
		need(direct_fd >= 0, "a file with O_DIRECT in /var/tmp");
		snprintf(path, sizeof(path), "/proc/self/fd/%d", direct_fd);
		cached_fd = open(path, O_RDONLY);
		need(cached_fd >= 0, path);
	}
	memcpy(buffer, &first, sizeof(first));
	need(pwrite(direct_fd, buffer, PAGE, slot * PAGE) == PAGE, "a write with O_DIRECT");
}
/// direct_read
static long direct_read(int slot, char *page)
{
	return result(pread(direct_fd, page, PAGE, slot * PAGE) != PAGE);
}
/// direct_write
static long direct_write(int slot, char *page)
{
	uint64_t found;

	if (pwrite(direct_fd, page, PAGE, slot * PAGE) != PAGE)
		return -errno;
	need(pread(cached_fd, &found, sizeof(found), slot * PAGE) == sizeof(found), "a file");
	return meaning(found, page);
}
/// frame
/* The entry of the page in /proc/PID/pagemap. */
static uint64_t frame(pid_t pid, char *page)
{
	char path[32];
	uint64_t entry = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry;
}
/// number
static uint64_t number(pid_t pid, char *page) /* of the page frame; 0: none is present */
{
	uint64_t entry = frame(pid, page);

	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}
/// same
static long same(int process, char *page, int process2, char *page2)
{
	pid_t pid = s->pid[process], pid2 = s->pid[process2];

	for (int i = 0; i < 8; i++) {
		uint64_t a = number(pid, page), b = number(pid2, page2);

		if (!a || !b)
			return NOT_REACHED;
		if (a == number(pid, page)) /* else the kernel has moved it */
			return a == b ? SAME : DIFFERENT;
	}
	return NOT_REACHED;
}
/// where
/* A page in device memory is a swap entry with a frame that /proc/iomem knows. */
static long where(char *page)
{
	uint64_t entry = frame(getpid(), page), at = (entry & ((1ULL << 55) - 1)) >> 5 << 12, from, to;
	FILE *iomem = fopen("/proc/iomem", "r");
	char line[256];
	long place = entry >> 62 ? SYSTEM : NONE;

	while (place == SYSTEM && !(entry >> 63) && iomem && fgets(line, sizeof(line), iomem))
		if (strstr(line, "hmm_dmirror") && sscanf(line, "%lx-%lx", &from, &to) == 2 && at >= from && at <= to)
			place = DEVICE;
	if (iomem)
		fclose(iomem);
	return place;
}
