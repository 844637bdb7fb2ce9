"""How the mocks see processes, tested on this process; and KFD's SVM ranges."""

import ctypes
import mmap
import os

import pytest

import process_memory
from process_memory import PAGE
from svm_ranges import SvmRanges

ME = os.getpid()


def mapped(flags=mmap.MAP_PRIVATE, protection=mmap.PROT_READ | mmap.PROT_WRITE, pages=4):
    memory = mmap.mmap(-1, pages * PAGE, flags=flags | mmap.MAP_ANONYMOUS, prot=protection)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


def frame(address):
    entry = int.from_bytes(process_memory.data(ME, "pagemap", address // PAGE * 8, 8), "little")
    return entry & (1 << 55) - 1 if entry >> 63 else None


def test_content():
    memory, at = mapped()
    memory[0:3] = b"abc"
    assert process_memory.content(ME, at) == b"abc".ljust(PAGE, b"\0")
    assert process_memory.content(ME, at + PAGE) == bytes(PAGE) and not process_memory.is_present(ME, at + PAGE)
    assert process_memory.content(1 << 30, at) == bytes(PAGE) and process_memory.parts(1 << 30, range(1, 2)) == []


def test_fault_in():
    """fault_in() gives the process its own page with the old content, but only a read fault if the mapping is read-only."""
    memory, at = mapped()
    process_memory.populate(ME, at)
    of_zeroes = frame(at)
    process_memory.fault_in(ME, at)
    assert frame(at) not in (None, of_zeroes) and memory[0] == 0
    memory[PAGE] = 7
    shared = frame(at + PAGE)
    ready, child = os.pipe()
    over, done = os.pipe()
    if os.fork() == 0:
        os.close(done)
        os.write(child, b"r")
        os.read(over, 1)
        os._exit(0)
    os.read(ready, 1)
    assert frame(at + PAGE) == shared
    process_memory.fault_in(ME, at + PAGE)
    assert frame(at + PAGE) != shared and memory[PAGE] == 7
    os.close(done)
    os.wait()


@pytest.mark.parametrize("flags, advice, copied", [
    (mmap.MAP_PRIVATE, None, True), (mmap.MAP_SHARED, None, False), (mmap.MAP_PRIVATE, mmap.MADV_DONTFORK, False),
    (mmap.MAP_PRIVATE, 18, False)])  # MADV_WIPEONFORK
def test_what_fork_copies(flags, advice, copied):
    memory, at = mapped(flags)
    if advice:
        memory.madvise(advice)
    page = at // PAGE
    touched = lambda: [anonymous for first, end, anonymous in process_memory.copied_at_fork(ME) if first <= page < end]  # noqa: E731
    assert touched() in ([], [False], [True])
    memory[0] = 1
    assert touched() == ([True] if copied else [])


def test_parts():
    memory, at = mapped(pages=6)
    libc, first = ctypes.CDLL(None, use_errno=True), at // PAGE
    assert libc.mprotect(ctypes.c_void_p(at + PAGE), PAGE, mmap.PROT_READ) == 0
    assert libc.munmap(ctypes.c_void_p(at + 3 * PAGE), PAGE) == 0
    all_parts = process_memory.all_parts(ME, range(first, first + 6))
    assert [(own.start - first, own.stop - first, rights) for own, rights in all_parts] == [
        (0, 1, "rw-p"), (1, 2, "r--p"), (2, 3, "rw-p"), (4, 6, "rw-p")]
    assert process_memory.parts(ME, range(first, first + 6)) == all_parts[:3]
    assert process_memory.parts(ME, range(first + 3, first + 6)) == []
    libc.mmap(ctypes.c_void_p(at + 3 * PAGE), PAGE, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10, -1, 0)


def test_ranges():
    """Requests split ranges, fill the holes between them, and remove them."""
    shown = lambda ranges: [(each.first, each.last, each.mapped) for each in ranges]  # noqa: E731
    of = SvmRanges()
    first, = of.add(range(4, 8))
    first.mapped = True
    assert shown(of.add(range(2, 6))) == [(2, 3, False), (4, 5, True)]
    assert shown(of.all) == [(2, 3, False), (4, 5, True), (6, 7, True)]
    of.all[1].invalid = of.all[2].invalid = True
    of.remove(range(5, 7))
    assert shown(of.all) == [(2, 3, False), (4, 4, True), (7, 7, True)] and [each.invalid for each in of.all] == [False, True, True]
    assert of.at(5) is None and of.at(7) is of.all[2] and of.over(range(4, 7)) == [of.all[1]]
    middle, = of.add(range(20, 23))
    middle.invalid = True
    of.remove(range(21, 22))
    assert [each.invalid for each in of.over(range(20, 23))] == [True, False]
