"""Runs one QEMU, with its agent port connected to this process's stdin and stdout.

The bytes pass through unchanged. Nothing outlives this process: QEMU gets SIGKILL
when its parent dies, and the initramfs is in a memfd.
"""

import os
import re
import select
import shlex
import socket
import subprocess
import tempfile
import threading
import time
from collections import namedtuple

import accel
import initramfs
from common import BAD_INPUT, LabError, die_with_parent, note

CHUNK = 1 << 16
BOOT_LIMIT_S = 120  # to reach /init; TCG on a busy machine takes 10
QUIET_S = 1.0  # after the end of input, the session ends when there is no output for this long
STOP_LIMIT_S = 5  # after the session, for the agent to end and the machine to power off
TICK_S = 0.1
LAST_WORDS = 40

# acpi=noirq: under TCG, ACPI takes a second to route the interrupt of each virtio device, although they use MSI.
# no_timer_check: timer_irq_works() wants four ticks within 40 million TSC cycles. If a busy machine delays QEMU's
# timers for longer, the kernel panics ("IO-APIC + timer doesn't work"). Under KVM the kernel skips this check anyway.
APPEND = ("console=ttyS0 nokaslr page_poison=1 oops=panic panic=-1 mitigations=off acpi=noirq no_timer_check "
          "rcupdate.rcu_cpu_stall_timeout=60 tsc=reliable rdinit=/init faultline.lab=1")

# Two nodes of memory, so that pages can be moved (move_pages). KFD would have a node for each, so not beside a GPU.
NODES = "numa=fake=2"

STARTED = re.compile(rb"lab: (agent|command) starts")
ENDED = re.compile(rb"lab: (?:agent|command) ended with status (\d+)")
GONE = "the process of its device ended before the machine"
REFUSED = re.compile(rb"lab: (no virtio port|neither).*")


# What a kernel of one's own must have built in.
NEEDED = ("64BIT", "SERIAL_8250_CONSOLE", "VIRTIO_PCI", "VIRTIO_CONSOLE", "BLK_DEV_INITRD", "DEVTMPFS", "ACPI")
IMAGE = "arch/x86/boot/bzImage"  # in its build tree

# The words that start QEMU, and those that add to its machine.
Hardware = namedtuple("Hardware", "program words")
LEAVES_S = 1.0  # a process that the machine needs may end a moment before the machine, with it


class Result:
    """How a machine ended. `status`: the exit status of the guest's command; None if unknown."""

    def __init__(self, status, reason, console):
        self.status = status
        self.reason = reason  # what went wrong; "" for an orderly end
        self.console = console


def check_kernel(path):
    """Refuses anything but a bzImage, because QEMU would hang on it, and a kernel that says nothing when it boots."""
    try:
        with open(path, "rb") as f:
            head = f.read(0x206)
    except OSError as e:
        raise LabError(f"kernel {path}: {e.strerror}", BAD_INPUT) from e
    if head[0x202:0x206] != b"HdrS":
        hint = " (this is an ELF file, such as vmlinux)" if head[:4] == b"\x7fELF" else ""
        raise LabError(f"kernel {path} is not a bzImage{hint}: "
                       "give arch/x86/boot/bzImage of your build tree", BAD_INPUT)
    config = os.path.join(os.path.dirname(os.path.abspath(path)), "../../../.config")
    if os.path.normpath(path).endswith(IMAGE) and os.path.exists(config):
        have = set(initramfs.read(config).decode(errors="replace").splitlines())
        if missing := [name for name in NEEDED if f"CONFIG_{name}=y" not in have]:
            raise LabError(f"kernel {path} cannot run in the lab without " + ", ".join(missing) + ": build it with " +
                           "scripts/config " + " ".join(f"-e {name}" for name in missing), BAD_INPUT)


def check_agent(path):
    try:
        static = initramfs.is_static_elf(path)
    except OSError as e:
        raise LabError(f"agent {path}: {e.strerror}", BAD_INPUT) from e
    if not static:
        raise LabError(f"agent {path} is not a static x86-64 ELF program: the lab has no "
                       "shared libraries, so link it with -static", BAD_INPUT)


def release(path):
    """What `uname -r` will say: bzImages tell (Documentation/x86/boot.rst, kernel_version)."""
    data = initramfs.read(path)
    at = 0x200 + int.from_bytes(data[0x20e:0x210], "little")
    return data[at:data.index(b"\0", at)].split()[0].decode()


def command_line(options, hardware, initrd_fd, agent_fd, console):
    append = " ".join(filter(None, [APPEND, "" if hardware.words else NODES, options.append]))
    return [
        *hardware.program, *accel.flags(options.accel),
        "-name", "faultline-lab,process=qemu-system-x86",  # also where ld.so starts it (vfio_user.py)
        "-nodefaults", "-no-user-config", "-display", "none",
        "-no-reboot", "-m", str(options.memory), "-smp", str(options.cpus),
        "-kernel", options.kernel, "-initrd", f"/proc/self/fd/{initrd_fd}",
        "-append", append,
        "-chardev", "file,id=console,path=" + console.replace(",", ",,"),
        "-serial", "chardev:console",
        "-device", "virtio-serial-pci,max_ports=2",  # each port costs boot time
        "-chardev", f"socket,id=agent,fd={agent_fd}",
        "-device", "virtserialport,chardev=agent,name=faultline.agent",
        "-device", "virtio-gpu-pci",  # so that /dev/dri has a PCI device besides vgem
        *hardware.words, *shlex.split(options.qemu or ""),
    ]


class Console:
    """The file of the serial console, read while it grows."""

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
        if not lines:
            return "  (nothing: does this kernel have a serial console?)"
        return "\n".join("  | " + line for line in lines[-LAST_WORDS:])


class Machine:
    """One QEMU process. Use it in a `with`, so that it cannot be left behind."""

    def __init__(self, options, hardware, base, overlay, console_path):
        self.console = Console(console_path)
        open(console_path, "wb").close()
        mine, its = socket.socketpair()
        initrd = os.memfd_create("initramfs")
        with open(initrd, "wb", closefd=False) as f:
            f.write(initramfs.read(base) + initramfs.overlay(overlay))
        command = command_line(options, hardware, initrd, its.fileno(), console_path)
        if options.verbose:
            note(shlex.join(command))
        self.port = mine
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=[initrd, its.fileno()], preexec_fn=die_with_parent())
        its.close()
        os.close(initrd)
        self.started = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.port.close()

    def hang_up(self):
        """Ends the guest's input."""
        try:
            self.port.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the machine has ended already

    def age(self):
        return time.monotonic() - self.started

    def wait(self, limit_s):
        """True if QEMU ended by itself within the limit."""
        try:
            self.process.wait(limit_s)
            return True
        except subprocess.TimeoutExpired:
            return False


class Input(threading.Thread):
    """Copies a file descriptor to the port. `ended` is the time when the input ended."""

    def __init__(self, source, port):
        super().__init__(daemon=True)
        self.ended = None
        self._source = source
        self._port = port

    def run(self):
        try:
            while True:
                data = os.read(self._source, CHUNK)
                if not data:
                    break
                self._port.sendall(data)
        except OSError:
            pass  # the machine is gone; relay() will notice
        self.ended = time.monotonic()


def relay(machine, source, sink, timeout_s, beside=None):
    """Moves bytes until the machine ends, or the input has ended. Returns why the machine must
    be stopped, or "" if the session ended in good order.

    If `source` is None, the session lasts until the machine ends. `beside` is a process that the
    machine cannot do without (SoftGpu): its end is the machine's."""
    port = machine.port
    feed = Input(source, port)
    if source is not None:
        feed.start()
    booted = False
    last_output = time.monotonic()
    while True:
        readable, _, _ = select.select([port, *filter(None, [beside])], [], [], TICK_S)
        now = time.monotonic()
        if port in readable:
            data = receive(port)
            if not data or not write_all(sink, data):
                return ""
            booted = True
            last_output = now
        elif readable:
            if beside.last_words() or not machine.wait(LEAVES_S):
                return GONE
            beside = None  # the machine has ended by itself; what it said last is still to be read
        if not booted and STARTED.search(machine.console.text()):
            booted = True
            last_output = now
        if not booted and machine.age() > BOOT_LIMIT_S:
            return f"the guest did not reach its init within {BOOT_LIMIT_S} s"
        if timeout_s and machine.age() > timeout_s:
            return f"stopped after {timeout_s} s"
        if booted and feed.ended and now - max(feed.ended, last_output) > QUIET_S:
            return ""


def receive(port):
    """Bytes from the guest; empty at the end."""
    try:
        return port.recv(CHUNK)
    except ConnectionError:
        return b""


def write_all(fd, data):
    """False if the reader is gone."""
    try:
        while data:
            data = data[os.write(fd, data):]
        return True
    except BrokenPipeError:
        return False


def name_console(options):
    """Makes a file for the console if the options name none."""
    if not options.console:
        fd, options.console = tempfile.mkstemp(prefix="faultline-console-", suffix=".log")
        os.close(fd)
        note(f"console: {options.console}")


def run(options, base, overlay, source, sink, hardware=None, beside=None):
    """Boots a machine, relays its port, stops it, and returns a Result. Options: kernel,
    append, memory, cpus, accel, console, qemu, timeout, verbose. `beside`: see relay()."""
    hardware = hardware or Hardware([accel.qemu()], [])
    name_console(options)
    with Machine(options, hardware, base, overlay, options.console) as machine:
        reason = relay(machine, source, sink, options.timeout, beside)
        stopped = False
        if not reason:
            machine.hang_up()
            stopped = not machine.wait(STOP_LIMIT_S)
        code = machine.process.poll()
    return judge(machine.console, reason, stopped, code)


def judge(console, reason, stopped, code):
    """The Result of a machine that has ended, from its console and QEMU's status."""
    text = console.text()
    ended = ENDED.search(text)
    refused = REFUSED.search(text)
    if refused:
        reason = refused.group(0).decode(errors="replace").strip()
    elif reason != GONE and b"Kernel panic" in text:
        reason = "the guest's kernel panicked"
    elif stopped:
        note(f"the guest was still running {STOP_LIMIT_S} s after its session: stopped")
    elif not reason and code:
        reason = f"QEMU failed with status {code}" + ("" if text else
                 ", before its machine ran: its own words are above, and --verbose shows its command line")
    elif not reason and not ended:
        reason = "the machine ended before its agent did"
    return Result(int(ended.group(1)) if ended else None, reason, console)
