"""System memory of all kinds: kernels read and write memory from malloc(), static data, stacks, and private and shared
mappings, anonymous and of files. Meanwhile system calls change this memory and its neighbours in the same mapping."""

import ctypes
import mmap
import os
import tempfile
import threading
import time
import warnings

import pytest

from svm_kit import LEVELS, u32

PAGE = 4096
BLOCK, FIRST, LAST = 24, 8, 16  # pages of a block; kernels use pages FIRST to LAST
START = FIRST * PAGE + 16  # on purpose not at the start of a page or of a malloc() block
WORDS = ((LAST - FIRST) * PAGE - 64) // 4
WHOLE = slice((PAGE - 16) // 4, (PAGE - 16) // 4 + PAGE)  # the words of four whole pages

KINDS = ["malloc", "static", "stack", "thread-stack", "anonymous", "shared", "private-file", "shared-file"]
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK = 4, 10, 11
PROT_NONE = 0

libc = ctypes.CDLL(None, use_errno=True)
for name in ("malloc", "mmap", "mremap"):
    getattr(libc, name).restype = ctypes.c_void_p


def call(name, *numbers):
    """Makes a system call; raises OSError if it fails."""
    result = getattr(libc, name)(*map(ctypes.c_void_p, numbers))
    if result in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


class Place:
    """The words in the middle of a block that kernels use, and the pages around them."""

    def __init__(self, block, neighbours, *, fresh=None, svm=False):
        self.address = block + START
        self.words = (ctypes.c_uint * WORDS).from_address(self.address)
        self.neighbours = [(neighbours, FIRST * PAGE), (neighbours + LAST * PAGE, (BLOCK - LAST) * PAGE)]
        self.fresh = fresh  # the values of private words before any store; None: the words are shared
        self.svm = svm


def pages(flags, file=-1):
    return call("mmap", 0, BLOCK * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0)


def inside(bench, kind, use):
    """Calls use(Place) with memory of this kind."""
    bench.require(LEVELS["fine" if kind == "svm" else "system"])
    zeroes = [0] * WORDS

    def within(memory):  # from the first whole page on
        block = (memory.address + PAGE - 1) // PAGE * PAGE
        use(Place(block, block, fresh=zeroes))

    if kind == "svm":  # the driver's own memory: nobody else may change its pages, so the neighbours are elsewhere
        memory = bench.level("fine").alloc(BLOCK * PAGE)
        use(Place(memory.address, pages(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), svm=True))
    elif kind == "malloc":  # small enough for the heap, which is one large mapping
        block = -(-libc.malloc((BLOCK + 1) * PAGE) // PAGE) * PAGE
        use(Place(block, block, fresh=zeroes))
    elif kind == "static":
        within(bench.cl.StaticMemory())
    elif kind == "stack":  # the process's own
        assert threading.current_thread() is threading.main_thread()
        bench.cl.on_stack((BLOCK + 1) * PAGE, within)
    elif kind == "thread-stack":
        errors = []

        def thread():
            try:
                bench.cl.on_stack((BLOCK + 1) * PAGE, within)
            except BaseException as error:  # also pytest's own failures
                errors.append(error)

        other = threading.Thread(target=thread)
        other.start()
        other.join()
        if errors:
            raise errors[0]
    elif kind.endswith("file"):
        with tempfile.TemporaryFile() as file:
            content = (ctypes.c_uint * (BLOCK * PAGE // 4))(*range(5000, 5000 + BLOCK * PAGE // 4))
            file.write(bytes(content))
            file.flush()
            shared = kind == "shared-file"
            block = pages(mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE, file.fileno())
            use(Place(block, block, fresh=None if shared else content[START // 4:START // 4 + WORDS]))
    else:
        shared = kind == "shared"
        block = pages(mmap.MAP_ANONYMOUS | (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE))
        use(Place(block, block, fresh=None if shared else zeroes))


def fork(child):
    """Forks. The child's exit status is the result of child()."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the child of a process with threads; it touches no driver
        pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = child()
        finally:
            os._exit(status)
    return pid


class Changes(threading.Thread):
    """Changes the neighbour pages and forks, until the context ends."""

    def __init__(self, place):
        super().__init__()
        self.place, self.rounds, self.error, self.stopped = place, 0, None, False

    def run(self):
        try:
            while not self.stopped:
                for start, size in self.place.neighbours:
                    self.change(start, size)
                os.waitpid(fork(lambda: 0), 0)
                self.rounds += 1
        except BaseException as error:
            self.error = error

    @staticmethod
    def change(start, size):
        for protection in (mmap.PROT_READ, PROT_NONE, mmap.PROT_READ | mmap.PROT_WRITE):
            call("mprotect", start, size, protection)
        ctypes.memset(start, 7, size)
        call("madvise", start, size, MADV_DONTFORK)
        # MREMAP_DONTUNMAP: the old place stays mapped, so that nobody else takes it.
        away = call("mremap", start, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0)
        call("mremap", away, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start)
        call("madvise", start, size, MADV_DOFORK)
        call("madvise", start, size, MADV_DONTNEED)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.join()
        if self.error:
            raise self.error


def stirred(words):
    return [word * 31 + 7 + i & 0xffffffff for i, word in enumerate(words)]


class Stirring:
    """A kernel that changes each word, and the values that the words must then have."""

    def __init__(self, bench, place):
        self.queue, self.place = bench.queue(), place
        self.kernel = bench.kernel("words.cl", "stir", place.address, u32(7))
        self.expected = list(range(WORDS))
        place.words[:] = self.expected

    def stir(self):
        self.queue.nd_range(self.kernel, [WORDS]).wait()
        self.expected = stirred(self.expected)
        assert self.place.words[:] == self.expected


@pytest.mark.parametrize("kind", ["svm", *KINDS])
def test_what_is_around_it_changes(bench, kind):
    """Kernels and the host take turns. Meanwhile another thread protects, moves and empties the pages around, and forks."""
    def use(place):
        stirring = Stirring(bench, place)
        until, least, turns = time.monotonic() + 30, 10, 0
        with Changes(place) as changes:
            while (turns < least or changes.rounds < least) and not changes.error and time.monotonic() < until:
                stirring.stir()
                place.words[turns] = stirring.expected[turns] = 3
                turns += 1
        assert turns >= least and changes.rounds >= least, f"{turns} kernels, {changes.rounds} rounds of changes"

    inside(bench, kind, use)


@pytest.mark.parametrize("kind", ["svm", *KINDS])
def test_a_child_looks_at_it(bench, kind):
    """After fork(), the child sees a kernel's stores in shared memory, but not in private memory."""
    def use(place):
        stirring = Stirring(bench, place)
        stirring.stir()
        its_words = stirring.expected if place.fresh else stirred(stirring.expected)
        waits, says = os.pipe()

        def look():
            os.read(waits, 1)
            return 0 if place.svm or place.words[:] == its_words else 1

        child = fork(look)
        stirring.stir()
        os.write(says, b"1")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child finds other words"
        stirring.stir()

    inside(bench, kind, use)


@pytest.mark.parametrize("kind", KINDS)
def test_what_system_calls_leave(bench, kind):
    """Kernels see the results of mprotect(), mremap() and madvise(), and can store there."""
    def use(place):
        stirring = Stirring(bench, place)
        stirring.stir()
        result = bench.cl.SystemMemory(WORDS * 4)
        start, size = place.address + WHOLE.start * 4, (WHOLE.stop - WHOLE.start) * 4
        assert start % PAGE == 0 and size % PAGE == 0

        def read(address, count):
            stirring.queue.nd_range(bench.kernel("words.cl", "copy", address, result), [count]).wait()
            return result.words[:count].tolist()

        def left(change, expected):
            change()
            stirring.expected[WHOLE] = expected
            assert read(place.address, WORDS) == stirring.expected
            assert place.words[:] == stirring.expected

        held = stirring.expected[WHOLE]
        fresh = place.fresh[WHOLE] if place.fresh else held
        left(lambda: call("mprotect", start, size, mmap.PROT_READ), held)
        left(lambda: call("mprotect", start, size, mmap.PROT_READ | mmap.PROT_WRITE), held)
        away = call("mremap", start, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0)
        assert read(away, size // 4) == held
        left(lambda: None, fresh)
        stirring.stir()
        now = stirring.expected[WHOLE] if not place.fresh else held
        left(lambda: call("mremap", away, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start), now)
        stirring.stir()
        left(lambda: call("madvise", start, size, MADV_DONTNEED), fresh if place.fresh else stirring.expected[WHOLE])
        stirring.stir()

    inside(bench, kind, use)
