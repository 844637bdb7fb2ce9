// userfaultfd: each process has its own. Nobody reads from it: the threads of the scenario resolve the faults.
/// open_uffd close_uffd uffd_register uffd_range uffd_zero uffd_protect uffd_copy wake_again
static int uffd = -1;

/// close_uffd open_uffd
/* Ends each wait of this process; a child ends its share of its parent's. */
static void close_uffd(void)
{
	close(uffd);
}
/// open_uffd
static void open_uffd(void)
{
	close_uffd();
	uffd = syscall(SYS_userfaultfd, 0);
	need(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &(struct uffdio_api){ .api = UFFD_API }), "userfaultfd");
}
/// uffd_register
static long uffd_register(char *page, long pages, int mode)
{
	struct uffdio_register ask = { .range = { (uintptr_t)page, pages * PAGE }, .mode = mode };

	return result(ioctl(uffd, UFFDIO_REGISTER, &ask));
}
/// uffd_range wake_again
static long uffd_range(unsigned long what, char *page, long pages) /* UFFDIO_UNREGISTER, UFFDIO_WAKE */
{
	return result(ioctl(uffd, what, &(struct uffdio_range){ (uintptr_t)page, pages * PAGE }));
}
/// uffd_zero
static long uffd_zero(char *page, long pages)
{
	struct uffdio_zeropage ask = { .range = { (uintptr_t)page, pages * PAGE } };

	return result(ioctl(uffd, UFFDIO_ZEROPAGE, &ask));
}
/// uffd_protect
static long uffd_protect(char *page, long pages, int mode)
{
	struct uffdio_writeprotect ask = { .range = { (uintptr_t)page, pages * PAGE }, .mode = mode };

	return result(ioctl(uffd, UFFDIO_WRITEPROTECT, &ask));
}
/// uffd_copy
static long uffd_copy(char *page, int value)
{
	_Alignas(4096) uint64_t from[512] = { word(page, value) };
	struct uffdio_copy ask = { .dst = (uintptr_t)page, .src = (uintptr_t)from, .len = PAGE };

	return result(ioctl(uffd, UFFDIO_COPY, &ask));
}
/// wake_again
/* A store that has just seen the protection may queue behind the wake that took it away, and would sleep on. */
static void wake_again(char *page, long pages, atomic_int *threads)
{
	for (int ms = 1; ms < 1000 && *threads > 0; ms *= 2) {
		uffd_range(UFFDIO_WAKE, page, pages);
		usleep(ms * 1000);
	}
}
