"""Mocked devices for unmodified programs: nodes, sysfs, and answers to requests.

The program runs with umockdev preloaded. Each of its requests to a mocked node arrives here as bytes. The mock decodes
them by hand after the kernel's headers (with `struct`, not with the code under test), checks them as the kernel does, and
notes them, so that the requests of two clients can be compared.
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
        """The memory that the pointer at `offset` of the argument points to."""
        data = self._argument.resolve(offset, size)
        if data is None:
            raise Refused(errno.EFAULT)
        return data

    def blocks(self, sizes):
        """Memory blocks by path, which is the offsets of the pointers that lead there: the argument (empty path), and all
        readable ones of the blocks that `sizes` names."""
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
        self.asked = []      # decoded requests: tuples that begin with a name
        self.injected = {}   # errors by the request's number, from 0: the request fails with this errno
        self.gone = False    # unplugged
        self.hangs_at = None  # number of the request, from 0, that is never answered
        self.count = 0
        self.processes = {}  # by client: its pid
        self.same, self._pairs = {}, {}  # original by duplicate client; first client of a pair by the pair's number
        self._waiting = []  # clients that are never answered: without a reference, umockdev would answer

    def note(self, *what):
        self.asked.append(what)

    def hear(self, request):
        if request.number == 0:
            self.processes[request.client], _ = struct.unpack("<ii", request.bytes)
            request.answer(struct.pack("<i", self.opens(request.client)), 4)
        else:
            first = self._pairs.pop(request.bytes, None)
            if first is None:
                self._pairs[request.bytes] = request.client
            else:
                self.same[request.client] = first

    def opens(self, client):
        """The errno of the driver's open(), or 0."""
        return 0

    def handle(self, request):
        """Returns the ioctl's result, or None for 0."""
        handler = getattr(self, f"handle_{request.type}{request.number:02x}", None)
        if handler is None:
            raise Refused(errno.ENOTTY)
        return handler(request)

    def do_handle_ioctl(self, client):
        try:
            if client.get_request() >> 8 & 0xFF == ord("F"):  # from kernel_half.cpp, not from the client
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
        except GLib.Error:  # the client was killed: nobody waits for the answer
            client.complete(-1, errno.EPIPE)
        except Exception as bug:  # in the mock: answer, lest the client wait for ever, and let the test see it
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
    """Runs a program on the testbed's devices, which answer here meanwhile. `keep`: descriptors that it inherits."""
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
    """The devices answer requests until this returns."""
    loop = GLib.MainLoop()
    watcher = threading.Thread(target=lambda: (wait(), GLib.idle_add(loop.quit)))
    watcher.start()
    loop.run()
    watcher.join()
