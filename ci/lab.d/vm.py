"""Runs one QEMU whose agent port is this process's stdin and stdout.

The bytes pass through unchanged. Nothing outlives this process: QEMU gets SIGKILL
when its parent dies, and the initramfs lives in a memory file.
"""

import ctypes
import os
import re
import selectors
import shlex
import signal
import socket
import subprocess
import tempfile
import time

import accel
import initramfs
from common import BAD_INPUT, LabError, note

CHUNK = 1 << 16
BOOT_LIMIT_S = 120  # to reach /init; TCG on a busy machine takes 10
QUIET_S = 1.0  # after the end of input, this long without output ends the session
STOP_LIMIT_S = 5  # then, for the agent to notice and the machine to power off
TICK_S = 0.1
LAST_WORDS = 25

APPEND = ("console=ttyS0 nokaslr page_poison=1 oops=panic panic=-1 mitigations=off "
          "rcupdate.rcu_cpu_stall_timeout=60 tsc=reliable rdinit=/init")

STARTED = re.compile(rb"lab: (agent|command) starts")
ENDED = re.compile(rb"lab: (?:agent|command) ended with status (\d+)")
REFUSED = re.compile(rb"lab: (no virtio port|neither).*")
PR_SET_PDEATHSIG = 1


class Result:
    """How a machine ended. `status` is the guest command's, None if it never told."""

    def __init__(self, status, reason, console):
        self.status = status
        self.reason = reason  # "" for an orderly end
        self.console = console


def check_kernel(path):
    """Refuses what QEMU would hang on: anything but a bzImage."""
    try:
        with open(path, "rb") as f:
            head = f.read(0x206)
    except OSError as e:
        raise LabError(f"kernel {path}: {e.strerror}", BAD_INPUT) from e
    if head[0x202:0x206] != b"HdrS":
        hint = " (this is an ELF file, such as vmlinux)" if head[:4] == b"\x7fELF" else ""
        raise LabError(f"kernel {path} is not a bzImage{hint}: "
                       "give arch/x86/boot/bzImage of your build tree", BAD_INPUT)


def check_agent(path):
    try:
        static = initramfs.is_static_elf(path)
    except OSError as e:
        raise LabError(f"agent {path}: {e.strerror}", BAD_INPUT) from e
    if not static:
        raise LabError(f"agent {path} is not a static x86-64 ELF program: the lab has no "
                       "shared libraries, so link it with -static", BAD_INPUT)


def command_line(options, initrd_fd, agent_fd, console):
    append = " ".join(filter(None, [APPEND, options.append]))
    return [
        accel.qemu(), *accel.flags(options.accel),
        "-name", "faultline-lab", "-nodefaults", "-no-user-config", "-display", "none",
        "-no-reboot", "-m", str(options.memory), "-smp", str(options.cpus),
        "-kernel", options.kernel, "-initrd", f"/proc/self/fd/{initrd_fd}",
        "-append", append,
        "-chardev", "file,id=console,path=" + console.replace(",", ",,"),
        "-serial", "chardev:console",
        "-device", "virtio-serial-pci,max_ports=2",  # each port costs boot time
        "-chardev", f"socket,id=agent,fd={agent_fd}",
        "-device", "virtserialport,chardev=agent,name=faultline.agent",
        *shlex.split(options.qemu or ""),
    ]


def die_with_parent(parent):
    def prepare():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    return prepare


class Console:
    """The serial console's file, read as it grows."""

    def __init__(self, path):
        self.path = path
        self._seen = b""
        self._offset = 0

    def text(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self._offset)
                new = f.read()
        except FileNotFoundError:
            return self._seen
        self._offset += len(new)
        self._seen += new
        return self._seen

    def last_words(self):
        lines = self.text().decode(errors="replace").replace("\r", "").splitlines()
        return "\n".join("  | " + line for line in lines[-LAST_WORDS:])


class Machine:
    """One QEMU process; use it in a `with` so that it cannot be left behind."""

    def __init__(self, options, base, overlay, console_path):
        self.console = Console(console_path)
        open(console_path, "wb").close()
        mine, its = socket.socketpair()
        initrd = os.memfd_create("initramfs")
        with open(initrd, "wb", closefd=False) as f:
            f.write(initramfs.read(base) + initramfs.overlay(overlay))
        command = command_line(options, initrd, its.fileno(), console_path)
        if options.verbose:
            note(shlex.join(command))
        self.port = mine
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=[initrd, its.fileno()], preexec_fn=die_with_parent(os.getpid()))
        its.close()
        os.close(initrd)
        self.started = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.port.close()

    def age(self):
        return time.monotonic() - self.started

    def wait(self, limit_s):
        """True when QEMU ended by itself within the limit."""
        try:
            self.process.wait(limit_s)
            return True
        except subprocess.TimeoutExpired:
            return False


def relay(machine, source, sink, timeout_s):
    """Moves bytes until the machine ends or the input does. Returns why it stopped
    the machine, or "" when that ended by itself.

    `source` may be None: then the session lasts until the machine ends."""
    port = machine.port
    port.setblocking(False)
    events = selectors.DefaultSelector()
    events.register(port, selectors.EVENT_READ)
    polled = source is not None
    if polled:
        try:
            events.register(source, selectors.EVENT_READ)
        except PermissionError:  # a plain file is always ready, and epoll says so
            source, polled = pump(source), True
            events.register(source, selectors.EVENT_READ)
    pending = b""
    input_ended = False
    booted = False
    last_output = time.monotonic()
    while True:
        quiet = time.monotonic() - last_output
        if not booted:
            booted = bool(STARTED.search(machine.console.text()))
            last_output = time.monotonic() if booted else last_output
        elif input_ended and not pending and quiet > QUIET_S:
            return ""
        if not booted and machine.age() > BOOT_LIMIT_S:
            return f"the guest did not reach its init within {BOOT_LIMIT_S} s"
        if timeout_s and machine.age() > timeout_s:
            return f"stopped after {timeout_s} s"
        for key, mask in events.select(TICK_S):
            if key.fileobj is port and mask & selectors.EVENT_READ:
                data = receive(port)
                if data is None:
                    return ""
                last_output = time.monotonic()
                booted = booted or bool(data)
                if not write_all(sink, data):
                    return ""
            if key.fileobj is port and mask & selectors.EVENT_WRITE:
                pending = send(port, pending)
            if key.fileobj == source:
                pending = os.read(source, CHUNK)
                if not pending:
                    input_ended = True
                    last_output = time.monotonic()
                    events.unregister(source)
                    continue
                pending = send(port, pending)
            balance(events, port, source, pending, input_ended)


def balance(events, port, source, pending, input_ended):
    """Reads input only while the port takes it, so that memory stays bounded."""
    events.modify(port, selectors.EVENT_READ | (selectors.EVENT_WRITE if pending else 0))
    if source is None or input_ended:
        return
    registered = source in events.get_map()
    if pending and registered:
        events.unregister(source)
    elif not pending and not registered:
        events.register(source, selectors.EVENT_READ)


def pump(source):
    """A pipe fed from a plain file by a child that dies with this process."""
    reader = subprocess.Popen(["cat"], stdin=source, stdout=subprocess.PIPE,
                              preexec_fn=die_with_parent(os.getpid()))
    return reader.stdout.fileno() if keep(reader) else -1


_kept = []


def keep(value):
    _kept.append(value)
    return True


def receive(port):
    """Bytes from the guest; None at its end."""
    try:
        return port.recv(CHUNK) or None
    except BlockingIOError:
        return b""
    except ConnectionError:
        return None


def send(port, data):
    """Sends what fits, returns the rest."""
    try:
        return data[port.send(data):]
    except BlockingIOError:
        return data
    except ConnectionError:
        return b""  # the machine ended: the read side will tell


def write_all(fd, data):
    """False when the reader has gone."""
    try:
        while data:
            data = data[os.write(fd, data):]
        return True
    except BrokenPipeError:
        return False


def on_signal(number, _):
    raise SystemExit(128 + number)


def run(options, base, overlay, source, sink):
    """Boots, relays, stops; returns a Result. Options: kernel, append, memory, cpus,
    accel, console, qemu, timeout, verbose."""
    console = options.console
    if not console:
        fd, console = tempfile.mkstemp(prefix="faultline-console-", suffix=".log")
        os.close(fd)
        note(f"console: {console}")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    with Machine(options, base, overlay, console) as machine:
        reason = relay(machine, source, sink, options.timeout)
        if not reason:
            machine.port.close()
            if not machine.wait(STOP_LIMIT_S):
                note("the guest was still running after its input ended: stopped")
        code = machine.process.poll()
    return judge(machine.console, reason, code, source is not None)


def judge(console, reason, code, has_input):
    text = console.text()
    ended = ENDED.search(text)
    refused = REFUSED.search(text)
    if refused:
        reason = refused.group(0).decode(errors="replace")
    elif b"Kernel panic" in text:
        reason = "the guest's kernel panicked"
    elif not reason and code not in (0, None):
        reason = f"QEMU failed with status {code}"
    elif not reason and not ended and not (has_input and code is None):
        reason = "the machine ended before its agent did"
    return Result(int(ended.group(1)) if ended else None, reason, console)
