"""Devices that no machine here has: nodes, sysfs and the answers to requests, under unmodified programs.

The mocked program runs with umockdev's preload; every request of it to a mocked node arrives here as bytes, is
decoded by hand from the kernel's headers (with `struct`, not with the code under test), checked as the kernel checks
it, and noted, so that what two clients asked for can be compared.
"""

import errno
import os
import pathlib
import struct
import subprocess
import threading

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # noqa: E402

WRITES, READS = 1, 2  # _IOC_WRITE, _IOC_READ
PROTECTS, UNMAPS, ZAPS, MOVES, FORKS = range(5)  # kinds of changes of mappings


class Refused(Exception):
    """The errno that the kernel gives."""

    def __init__(self, code):
        super().__init__(errno.errorcode[code])
        self.code = code


class NeverAnswered(Exception):
    """The driver hangs."""


class Request:
    """One ioctl: its number, and its argument as bytes that can be read and written."""

    def __init__(self, client):
        self.client = client  # one open() of the node
        self.whole_number = number = client.get_request()
        self.direction, self.size = number >> 30 & 3, number >> 16 & 0x3FFF
        self.type, self.number = chr(number >> 8 & 0xFF), number & 0xFF
        self._argument = client.get_arg().resolve(0, self.size) if self.size else None
        if self.size and self._argument is None:
            raise Refused(errno.EFAULT)
        self.bytes = bytes(self._argument.retrieve()) if self.size else b""

    def answer(self, data, offset=0):
        self._argument.update(offset, data)

    def memory(self, offset, size):
        """What the pointer at `offset` of the argument points to."""
        data = self._argument.resolve(offset, size)
        if data is None:
            raise Refused(errno.EFAULT)
        return data

    def blocks(self, sizes):
        """By path, the offsets of the pointers on the way: the argument, which has an empty one, and all that `sizes` names
        and that can be read, which have longer ones."""
        found = {(): self._argument}
        for path in sorted(sizes, key=len):
            if path and path[:-1] in found:
                data = found[path[:-1]].resolve(path[-1], sizes[path])
                if data is not None:
                    found[path] = data
        return found


class Device(UMockdev.IoctlBase):
    """A node. Subclasses have a method for each request: handle_NUMBER(request), which returns or raises Refused."""

    def __init__(self):
        super().__init__()
        self.asked = []      # what was asked for, decoded: tuples that begin with a name
        self.injected = {}   # by how many requests came before: the errno that the kernel gives instead
        self.gone = False    # as after it was unplugged
        self.hangs_at = None  # by how many requests came before: the one that is never answered
        self.count = 0
        self.processes = {}  # by client: its pid
        self.same, self._pairs = {}, {}  # by client that is a duplicate of another: that one; by number: the first of two
        self._waiting = []  # without a reference to it, a client's end would be an answer

    def note(self, *what):
        self.asked.append(what)

    def hear(self, request):
        if request.number == 0:
            process, _, faults = struct.unpack("<iii", request.bytes)
            self.processes[request.client] = process
            self.sees_faults(process, faults)
            request.answer(struct.pack("<i", self.opens(request.client)), 4)
        elif request.number == 2:
            first = self._pairs.pop(request.bytes, None)
            if first is None:
                self._pairs[request.bytes] = request.client
            else:
                self.same[request.client] = first
        elif request.number == 4:
            request.answer(struct.pack("<Q", self.next_in_vram(self.processes[request.client])))
        elif request.number == 9:
            request.answer(struct.pack("<i", self.becomes_compute(self.same.get(request.client, request.client))), 4)
        else:
            change = self.mapping_changes if request.number == 1 else self.mapping_changed
            change(self.processes[request.client], *struct.unpack("<QQQQ", request.bytes))

    def opens(self, client):
        """The errno of the driver's open(), or 0."""
        return 0

    def sees_faults(self, process, descriptor):
        """A userfaultfd of the process, as it numbers it, or -1."""

    def becomes_compute(self, client):
        """KFD's request to use this open node as the process's VM: an errno, or 0."""
        return 0

    def mapping_changes(self, process, start, size, kind, protection):
        """What an MMU notifier tells the driver, before it happens."""

    def mapping_changed(self, process, start, size, kind, protection):
        """And when it has."""

    def next_in_vram(self, process):
        """The address of a page that the process is to drop, 0: none."""
        return 0

    def handle(self, request):
        """Its result, if not 0."""
        handler = getattr(self, f"handle_{request.type}{request.number:02x}", None)
        if handler is None:
            raise Refused(errno.ENOTTY)
        return handler(request)

    def do_handle_ioctl(self, client):
        try:
            if client.get_request() >> 8 & 0xFF == ord("F"):  # of kernel_half.cpp, no client's own
                self.hear(Request(client))
                return client.complete(0, 0) or True
            count, self.count = self.count, self.count + 1
            if count == self.hangs_at:
                raise NeverAnswered
            if self.gone:
                raise Refused(errno.ENODEV)
            if count in self.injected:
                raise Refused(self.injected[count])
            request = Request(client)
            request.client = self.same.get(client, client)
            client.complete(self.handle(request) or 0, 0)
        except NeverAnswered:
            self._waiting.append(client)
        except Refused as refused:
            client.complete(-1, refused.code)
        except GLib.Error:  # the client was killed meanwhile: nobody waits
            client.complete(-1, errno.EPIPE)
        except Exception as bug:  # of the mock: the client must not wait for ever, and the test must see it
            self.asked.append(("bug of the mock", repr(bug)))
            client.complete(-1, errno.EPROTO)
        return True


BUILD = pathlib.Path(os.environ.get("FAULTLINE_BUILD", pathlib.Path(__file__).parents[2] / "build")).resolve()
PRELOADED = f"{BUILD}/mock-kernel-half.so:" + os.environ.get("LD_PRELOAD", "")
if BUILD.name == "asan":  # its runtime must come first
    PRELOADED = subprocess.check_output(["g++", "-print-file-name=libasan.so"], text=True).strip() + ":" + PRELOADED
    (BUILD / "not-ours.supp").write_text("leak:/usr/bin/\nleak:/bin/\n")  # tools of the system that tests run
    os.environ["LSAN_OPTIONS"] = f"print_suppressions=0:suppressions={BUILD}/not-ours.supp"


def run(testbed, command, stdin="", timeout=60, keep=(), environment={}, **as_whom):
    """A program on the testbed's devices, while those answer here. `keep`: descriptors that it inherits."""
    child = start(testbed, command, environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE, pass_fds=keep, **as_whom)
    result = {}

    def wait():
        try:
            result["out"], result["err"] = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            result["out"], result["err"] = child.communicate()
            result["err"] += f"\nkilled after {timeout} s"

    answer_while(wait)
    return subprocess.CompletedProcess(command, child.returncode, result["out"], result["err"])


def start(testbed, command, environment={}, **options):
    context = os.environ | {"UMOCKDEV_DIR": testbed.get_root_dir(), "LD_PRELOAD": PRELOADED} | environment
    return subprocess.Popen(command, env=context, **options)


def answer_while(wait):
    """Devices answer until it returns."""
    loop = GLib.MainLoop()
    watcher = threading.Thread(target=lambda: (wait(), GLib.idle_add(loop.quit)))
    watcher.start()
    loop.run()
    watcher.join()
