// Pieces of reproducers, as in runtime.c: long-term pins, and a device that reaches memory through them.
/// open_pins
/* Each pinned page has an io_uring of its own, with the page as its fixed buffer: that is a long-term pin (FOLL_PIN). */
static struct pinned_page {
	char *page; /* NULL: free */
	int ring, borrowed[2];
	_Atomic unsigned int *submitted, *completed;
	unsigned int *head, mask, *index;
	struct io_uring_sqe *request;
	struct io_uring_cqe *results;
} pins[32];
static pthread_mutex_t pins_lock;
static int pins_open;
/* The device's side: what it stores comes out of a pipe, and what it loads goes into one. */
static int device_pipe[2];

static void open_pins(void) /* of a new process: those of its parent are not its own */
{
	memset(pins, 0, sizeof(pins));
	pthread_mutex_init(&pins_lock, NULL);
	need(!pipe2(device_pipe, O_NONBLOCK), "pipe2");
	pins_open = 1;
}
/// find_pin
static struct pinned_page *find_pin(char *page)
{
	for (size_t i = 0; i < sizeof(pins) / sizeof(*pins); i++)
		if (pins[i].page == page)
			return &pins[i];
	return NULL;
}
/// make_ring
static void make_ring(struct pinned_page *p)
{
	struct io_uring_params about = { 0 };
	char *sq, *cq;

	p->ring = syscall(SYS_io_uring_setup, 1, &about);
	need(p->ring >= 0, "io_uring_setup");
	sq = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->ring, IORING_OFF_CQ_RING);
	p->request = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->ring, IORING_OFF_SQES);
	need(sq != MAP_FAILED && cq != MAP_FAILED && p->request != MAP_FAILED, "mmap of an io_uring");
	p->submitted = (_Atomic unsigned int *)(sq + about.sq_off.tail);
	p->index = (unsigned int *)(sq + about.sq_off.array);
	p->completed = (_Atomic unsigned int *)(cq + about.cq_off.tail);
	p->head = (unsigned int *)(cq + about.cq_off.head);
	p->mask = *(unsigned int *)(cq + about.cq_off.ring_mask);
	p->results = (struct io_uring_cqe *)(cq + about.cq_off.cqes);
}
/// pin_page
static long pin_page(char *page)
{
	struct iovec buffer = { page, PAGE };
	struct pinned_page *p = find_pin(page);
	long error;

	if (p)
		return -EBUSY;
	p = find_pin(NULL);
	if (!p->ring)
		make_ring(p);
	error = result(syscall(SYS_io_uring_register, p->ring, IORING_REGISTER_BUFFERS, &buffer, 1));
	if (!error)
		p->page = page;
	return error;
}
/// borrow_page
/* A reference for reading (FOLL_GET), as a pipe holds it. */
static long borrow_page(char *page)
{
	struct iovec cell = { page, 8 };
	struct pinned_page *p = find_pin(page);

	if (p)
		return -EBUSY;
	p = find_pin(NULL);
	need(!pipe2(p->borrowed, O_NONBLOCK), "pipe2");
	if (vmsplice(p->borrowed[1], &cell, 1, SPLICE_F_NONBLOCK) == 8) {
		p->page = page;
		return 0;
	}
	close(p->borrowed[0]);
	close(p->borrowed[1]);
	p->borrowed[1] = 0;
	return -errno;
}
/// release_page
static long release_page(char *page)
{
	struct pinned_page *p = find_pin(page);

	if (!p)
		return -ENXIO;
	p->page = NULL;
	if (!p->borrowed[1])
		return result(syscall(SYS_io_uring_register, p->ring, IORING_UNREGISTER_BUFFERS, NULL, 0));
	close(p->borrowed[0]);
	close(p->borrowed[1]);
	p->borrowed[1] = 0;
	return 0;
}
/// pin pin_read
/* All pages or none. */
static long pin_with(long (*pin_one)(char *), char *page, int pages)
{
	long error = 0;
	int i;

	pthread_mutex_lock(&pins_lock);
	if (!pins_open)
		error = -EBADF;
	for (i = 0; i < pages && !error; i++)
		error = pin_one(page + i * PAGE);
	for (i -= 2; error && i >= 0; i--)
		release_page(page + i * PAGE);
	pthread_mutex_unlock(&pins_lock);
	return error;
}
/// pin
static long pin(char *page, int pages)
{
	return pin_with(pin_page, page, pages);
}
/// pin_read
static long pin_read(char *page, int pages)
{
	return pin_with(borrow_page, page, pages);
}
/// unpin
static long unpin(char *page, int pages)
{
	long error = 0, failed;

	pthread_mutex_lock(&pins_lock);
	for (int i = 0; i < pages && pins_open; i++) {
		failed = release_page(page + i * PAGE);
		error = failed ? failed : error;
	}
	if (!pins_open)
		error = -EBADF;
	pthread_mutex_unlock(&pins_lock);
	return error;
}
/// close_pins
static long close_pins(void)
{
	long error = 0;

	pthread_mutex_lock(&pins_lock);
	if (!pins_open)
		error = -EBADF;
	pins_open = 0;
	for (size_t i = 0; i < sizeof(pins) / sizeof(*pins); i++) {
		if (pins[i].ring)
			close(pins[i].ring);
		if (pins[i].borrowed[1]) {
			close(pins[i].borrowed[0]);
			close(pins[i].borrowed[1]);
		}
	}
	memset(pins, 0, sizeof(pins));
	pthread_mutex_unlock(&pins_lock);
	return error;
}
/// reopen_pins
static long reopen_pins(void)
{
	long error;

	pthread_mutex_lock(&pins_lock);
	error = pins_open ? -EBUSY : 0;
	pins_open = 1;
	pthread_mutex_unlock(&pins_lock);
	return error;
}
/// transfer
/* The kernel copies 8 bytes between the pinned page and the pipe. */
static long transfer(struct pinned_page *p, int opcode, int fd)
{
	long done;

	*p->request = (struct io_uring_sqe){ .opcode = opcode, .fd = fd, .addr = (uintptr_t)p->page, .len = 8 };
	p->index[0] = 0;
	++*p->submitted;
	while (*p->completed == *p->head)
		if (syscall(SYS_io_uring_enter, p->ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
			return -errno;
	done = p->results[*p->head & p->mask].res;
	++*(_Atomic unsigned int *)p->head;
	return done == 8 ? 0 : done < 0 ? done : -EIO;
}
/// pinned_load
static long pinned_load(char *page)
{
	struct pinned_page *p;
	uint64_t found;
	long error;

	pthread_mutex_lock(&pins_lock);
	p = pins_open ? find_pin(page) : NULL;
	if (!p)
		error = pins_open ? -EFAULT : -EBADF;
	else if (p->borrowed[1])
		error = tee(p->borrowed[0], device_pipe[1], 8, SPLICE_F_NONBLOCK) == 8 ? 0 : -EIO;
	else
		error = transfer(p, IORING_OP_WRITE_FIXED, device_pipe[1]);
	if (!error && read(device_pipe[0], &found, 8) != 8)
		error = -EIO;
	pthread_mutex_unlock(&pins_lock);
	return error ? error : meaning(found, page);
}
/// pinned_store
static long pinned_store(char *page, int value)
{
	struct pinned_page *p;
	uint64_t found = word(page, value);
	long error;

	pthread_mutex_lock(&pins_lock);
	p = pins_open ? find_pin(page) : NULL;
	if (!p || p->borrowed[1])
		error = pins_open ? -EFAULT : -EBADF;
	else if (write(device_pipe[1], &found, 8) != 8)
		error = -EIO;
	else
		error = transfer(p, IORING_OP_READ_FIXED, device_pipe[0]);
	if (error && p && !p->borrowed[1] && read(device_pipe[0], &found, 8) != 8)
		error = -EIO;
	pthread_mutex_unlock(&pins_lock);
	return error;
}
