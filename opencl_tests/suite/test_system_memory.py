"""Memory that is the host's own, whatever it comes from: kernels read and write what malloc() returned, static data,
stacks, and private and shared mappings of nothing and of files, while system calls change them and what is next to
them in the same mapping."""

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
BLOCK, FIRST, LAST = 24, 8, 16  # pages: of a block, and those within it that kernels use
START = FIRST * PAGE + 16  # not where malloc() or a page would begin
WORDS = ((LAST - FIRST) * PAGE - 64) // 4
WHOLE = slice((PAGE - 16) // 4, (PAGE - 16) // 4 + PAGE)  # words that are four whole pages

KINDS = ["malloc", "static", "stack", "thread-stack", "anonymous", "shared", "private-file", "shared-file"]
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK = 4, 10, 11
PROT_NONE = 0

libc = ctypes.CDLL(None, use_errno=True)
for name in ("malloc", "mmap", "mremap"):
    getattr(libc, name).restype = ctypes.c_void_p


def call(name, *numbers):
    """A system call, or the OSError that it gives."""
    result = getattr(libc, name)(*map(ctypes.c_void_p, numbers))
    if result in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


class Place:
    """The words in the middle of a block, which kernels use, and the pages around them."""

    def __init__(self, block, neighbours, *, fresh=None, svm=False):
        self.address = block + START
        self.words = (ctypes.c_uint * WORDS).from_address(self.address)
        self.neighbours = [(neighbours, FIRST * PAGE), (neighbours + LAST * PAGE, (BLOCK - LAST) * PAGE)]
        self.fresh = fresh  # what private words are when nobody has stored to them; None: shared ones
        self.svm = svm


def pages(flags, file=-1):
    return call("mmap", 0, BLOCK * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0)


def inside(bench, kind, use):
    """Calls use(Place) with memory of that kind."""
    bench.require(LEVELS["fine" if kind == "svm" else "system"])
    zeroes = [0] * WORDS

    def within(memory):  # from its first page on
        block = (memory.address + PAGE - 1) // PAGE * PAGE
        use(Place(block, block, fresh=zeroes))

    if kind == "svm":  # an allocation of the driver's, whose pages are not for others to change
        memory = bench.level("fine").alloc(BLOCK * PAGE)
        use(Place(memory.address, pages(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), svm=True))
    elif kind == "malloc":  # small enough for the heap: a part of one large mapping
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
            except BaseException as error:  # also a failure of pytest's
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
    """Its exit status is what child() returns."""
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
    """Changes the neighbours, and forks, as long as the context lasts."""

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
        # The old place stays mapped, so that nobody else takes it.
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
    """A kernel that makes each word another, and what the words then have to be."""

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
    """Kernels and the host in turn, while another thread protects, moves and empties the pages around, and forks."""
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
    """What a kernel stores after fork() is the parent's alone in private memory, and the child's too in shared."""
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
    """Kernels find what mprotect(), mremap() and madvise() have left, and can store there."""
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
