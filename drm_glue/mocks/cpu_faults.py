"""CPUs that touch pages in VRAM: userfaultfd plays the device-private entries of the processes under test. When a page goes
to VRAM, the mock takes its content and kernel_half.cpp drops the page. From then on every access to the page, by any process
that shares it, faults and waits for an answer from here. Needs CAP_SYS_PTRACE (root) and Linux 5.7."""

import ctypes
import errno
import fcntl
import os
import select
import struct
import threading

import process_memory

PAGE = process_memory.PAGE
USERFAULTFD, PIDFD_GETFD = 323, 438  # system call numbers of x86-64
API, REGISTER, UNREGISTER, WAKE, COPY, WRITEPROTECT = (
    0xC018AA3F, 0xC020AA00, 0x8010AA01, 0x8010AA02, 0xC028AA03, 0xC018AA06)
PAGEFAULT, FORK, REMOVE = 0x12, 0x13, 0x15
FEATURES = 1 << 0 | 1 << 1 | 1 << 3  # UFFD_FEATURE_PAGEFAULT_FLAG_WP, _EVENT_FORK, _EVENT_REMOVE
MISSING, WP, DONT_WAKE = 1, 2, 1
MESSAGE = 32  # bytes of struct uffd_msg
libc = ctypes.CDLL(None, use_errno=True)


def request(fd, number, *words):
    fcntl.ioctl(fd, number, bytearray(struct.pack(f"<{len(words)}Q", *words)))


def unavailable():
    """Why CPU faults cannot be caught here; empty: they can."""
    fd = libc.syscall(USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        return "userfaultfd: " + errno.errorcode[ctypes.get_errno()]
    try:
        request(fd, API, 0xAA, FEATURES, 0)
        return ""
    except OSError as error:
        return "UFFDIO_API: " + errno.errorcode[error.errno]
    finally:
        os.close(fd)


def from_process(process, fd):
    """A duplicate of a descriptor of that process; -1: not permitted, or the process is gone."""
    try:
        whose = os.pidfd_open(process)
    except ProcessLookupError:
        return -1
    try:
        return libc.syscall(PIDFD_GETFD, whose, fd, 0)
    finally:
        os.close(whose)


class Mm:
    """What one mm has in VRAM."""

    def __init__(self, fd, opener, contents, is_child):
        self.fd, self.opener, self.is_child = fd, opener, is_child  # opener: pid that opened /dev/kfd, here or in a forebear
        self.contents = contents  # by page; mms that share a page hold the same object
        self.held = []            # page ranges where faults wait, as if for the mmap lock
        self.to_drop = []

    def try_to(self, number, *words):
        """An errno, or 0."""
        try:
            request(self.fd, number, *words)
        except OSError as error:
            return error.errno
        return 0

    def is_gone(self):
        """Finds out by copying to an address where nothing is: ESRCH if the mm is gone."""
        return self.try_to(COPY, 1 << 20, 0, PAGE, 0, 0) == errno.ESRCH

    def holds(self, page):
        return any(page in each for each in self.held)


class CpuFaults:
    """`touches(process, mm, page)` is called when a CPU touches a page of the mm that is in VRAM; by a thread of its own, which
    holds `lock`. `asked`: takes reports about bugs of the mock."""

    def __init__(self, lock, touches, asked):
        self.lock, self.touches, self.asked = lock, touches, asked
        self.of = {}   # Mm by process that opened /dev/kfd
        self.mms = {}  # Mm by descriptor: the same ones, and those of forked children
        self.epoll = None

    def watch(self, process, fd):
        """`fd`: the number of a userfaultfd in that process, or -1."""
        self.sweep()
        mine = from_process(process, fd) if fd >= 0 else -1
        if mine < 0:
            return
        mm = Mm(mine, process, {}, False)
        if mm.try_to(API, 0xAA, FEATURES, 0) == 0:
            self.of[process] = mm
            self.add(mm)
        else:
            os.close(mine)

    def add(self, mm):
        if self.epoll is None:
            self.epoll = select.epoll()
            threading.Thread(target=self.answer_for_ever, daemon=True).start()
        self.mms[mm.fd] = mm
        self.epoll.register(mm.fd, select.EPOLLIN)

    def forget_mm(self, mm):
        del self.mms[mm.fd]
        if self.of.get(mm.opener) is mm:
            del self.of[mm.opener]
        os.close(mm.fd)

    def sweep(self):
        for mm in [each for each in self.mms.values() if each.is_gone()]:
            self.forget_mm(mm)

    def answer_for_ever(self):
        while True:
            for fd, _ in self.epoll.poll():
                with self.lock:
                    try:
                        mm = self.mms.get(fd)
                        for page in self.read(mm) if mm else []:
                            self.touched(mm, page)
                    except Exception as bug:
                        self.asked.append(("bug of the mock", repr(bug)))

    def read(self, mm):
        """Handles all messages but page faults; returns the faulting pages."""
        try:
            messages = os.read(mm.fd, 16 * MESSAGE)
        except (BlockingIOError, OSError):
            return []
        pages = []
        for at in range(0, len(messages), MESSAGE):
            first, second = struct.unpack_from("<QQ", messages, at + 8)
            if messages[at] == FORK:
                self.sweep()
                self.add(Mm(first & 0xFFFFFFFF, mm.opener, dict(mm.contents), True))
            elif messages[at] == REMOVE and mm.is_child:  # for the opener, kernel_half.cpp reports it
                self.forget(mm, range(first // PAGE, second // PAGE))
            elif messages[at] == PAGEFAULT:
                pages.append(second // PAGE)
        return pages

    def touched(self, mm, page):
        if mm.holds(page):
            return  # release() wakes it, and it faults again
        if page in mm.contents:
            self.touches(mm.opener, mm, page)
        self.wake(mm, [page])

    @staticmethod
    def wake(mm, pages):
        for page in pages:
            mm.try_to(WAKE, page * PAGE, PAGE)

    def hold(self, process, pages):
        """Faults on these pages wait until release(), as if for the mmap lock."""
        if mm := self.of.get(process):
            mm.held.append(pages)

    def release(self, process, pages, gone):
        """`gone`: the pages of this range in VRAM are lost (unmapped or zapped)."""
        mm = self.of.get(process)
        if mm is None or pages not in mm.held:
            return
        mm.held.remove(pages)
        there = [page for page in mm.contents if page in pages]
        if gone:
            self.forget(mm, there)
        self.wake(mm, there)

    @staticmethod
    def forget(mm, pages):
        for page in [each for each in pages if each in mm.contents]:
            del mm.contents[page]
            mm.try_to(UNREGISTER, page * PAGE, PAGE)

    def take(self, process, pages):
        """The pages go to VRAM: write-protects them and takes their content. Then next_to_drop() names them."""
        mm = self.of.get(process)
        if mm is None:
            return
        for page in pages:
            if mm.try_to(REGISTER, page * PAGE, PAGE, MISSING | WP, 0) != 0:
                continue  # a file page
            mm.try_to(WRITEPROTECT, page * PAGE, PAGE, 1)
            mm.contents[page] = process_memory.content(process, page * PAGE)
            mm.to_drop.append(page)
        mm.held.append(range(pages[0], pages[-1] + 1))

    def next_to_drop(self, process):
        """The address of the next page that kernel_half.cpp must drop. 0: all are dropped; faults are answered again."""
        mm = self.of.get(process)
        if mm is None:
            return 0
        if mm.to_drop:
            return mm.to_drop.pop() * PAGE
        for pages in list(mm.held):
            self.release(process, pages, False)
        return 0

    def has(self, process, page):
        mm = self.of.get(process)
        return mm is not None and page in mm.contents

    def load(self, process, address, size):
        """The GPU loads from VRAM."""
        at = address % PAGE
        return self.of[process].contents[address // PAGE][at:at + size]

    def store(self, process, address, data):
        """The GPU stores to VRAM. Every mm that shares the page sees it: a page in VRAM does not break COW."""
        page, at = address // PAGE, address % PAGE
        before = self.of[process].contents[page]
        after = before[:at] + data + before[at + len(data):]
        for each in [each for each in self.mms.values() if each.contents.get(page) is before]:
            each.contents[page] = after

    def give_back(self, mm, pages, empty=False):
        """Moves the pages from VRAM back to each mm that shares them, then wakes all waiters. `mm`: one mm that has the pages;
        None if CPU faults cannot be caught."""
        back = []
        for page in [each for each in pages if mm and each in mm.contents]:
            content = mm.contents[page]
            for each in [each for each in self.mms.values() if each.contents.get(page) is content]:
                self.copy(each, page, bytes(PAGE) if empty else content)
                del each.contents[page]  # a child forked in between still has it
                back.append((each, page))
        for each, page in back:
            each.try_to(UNREGISTER, page * PAGE, PAGE)
            self.wake(each, [page])

    def copy(self, mm, page, content):
        buffer = ctypes.create_string_buffer(content, PAGE)
        while mm.try_to(COPY, page * PAGE, ctypes.addressof(buffer), PAGE, DONT_WAKE, 0) == errno.EAGAIN:
            self.wake(mm, self.read(mm))  # a fork event has to be read first
