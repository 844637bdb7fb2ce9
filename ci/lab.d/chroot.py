"""Runs one command in the Debian 13 root, on this machine's kernel.

The command runs in a mount namespace and a PID namespace of its own. The first process in
the PID namespace (its init) dies with this process. Then the kernel kills all processes in
the namespace and removes all its mounts, so nothing is left whatever is killed.

The command inherits the standard streams of this process.
"""

import ctypes
import os
import resource
import select
import signal
import stat
import struct
import time

from common import BAD_INPUT, BROKEN, PR_SET_PDEATHSIG, LabError, note

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
SI_KERNEL = 0x80

AGENT = "/agent"
STOP_LIMIT_S = 5  # time from the first signal that should end the command to SIGKILL
ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
FORWARDED = ENDING | {signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
NOT_FOUND, NOT_STARTED = 127, 126  # as in shells

libc = ctypes.CDLL(None, use_errno=True)


def check_agent(path):
    try:
        mode = os.stat(path).st_mode
    except OSError as e:
        raise LabError(f"agent {path}: {e.strerror}", BAD_INPUT) from e
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        raise LabError(f"agent {path} is not a program", BAD_INPUT)


def check_root():
    if os.geteuid():
        raise LabError("the Debian 13 root is mounted and entered as root: sudo ci/lab chroot ...")


def environment():
    """The machine's environment, without variables that name its folders and libraries."""
    own = {name: value for name, value in os.environ.items()
           if not name.startswith(("XDG_", "LD_")) and name != "TMPDIR"}
    return {"RUSTICL_ENABLE": "llvmpipe,nouveau,radeonsi", "NOUVEAU_SVM": "1", **own, "HOME": "/root",
            "PATH": "/usr/local/bin:/usr/bin:/usr/sbin"}


def called(name, *words):
    if getattr(libc, name)(*words):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source, target, kind, flags, options=None):
    called("mount", *(word and word.encode() for word in (source, target, kind)),
           ctypes.c_ulong(flags), options and options.encode())


def make_mounts(root, agent):
    """Must run in a mount namespace of its own. The root is mounted read-only. What a command
    writes goes to tmpfs, or to the machine's /var/tmp, because tmpfs has no O_DIRECT."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount(root, root, None, MS_BIND)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name in ("/sys", "/dev", "/var/tmp"):
        mount(name, root + name, None, MS_BIND | MS_REC)
    for name, mode in (("/dev/shm", "1777"), ("/tmp", "1777"), ("/root", "0700")):
        mount("tmpfs", root + name, "tmpfs", MS_NOSUID | MS_NODEV, "mode=" + mode)
    if agent:
        mount(agent, root + AGENT, None, MS_BIND)
    mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY)


def become(root, words, mask):
    """Turns this process into the command."""
    status = NOT_STARTED
    try:
        os.chroot(root)
        os.chdir("/")
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvpe(words[0], words, environment())
    except FileNotFoundError:
        note(f"{words[0]}: there is no such command in the Debian 13 root")
        status = NOT_FOUND
    except OSError as e:
        note(f"{words[0]}: {e.strerror}")
    finally:
        os._exit(status)


def be_first(root, words, agent, told, mask):
    """The first process of the PID namespace. It writes the command's status to `told` and
    exits, which ends all other processes of the namespace."""
    status = BROKEN << 8
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        watch = select.poll()
        watch.register(told, 0)
        if watch.poll(0):  # the parent died before PR_SET_PDEATHSIG was set
            os._exit(1)
        make_mounts(root, agent)
        command = os.fork()
        if command == 0:
            become(root, words, mask)
        status = attend(command)
    except OSError as e:
        note(e.strerror)
    finally:
        os.write(told, struct.pack("i", status))
        os._exit(0)


def attend(command, limit_s=None):
    """Forwards signals to a child until it ends, and returns its status. With a limit, a child
    that got a signal to end gets SIGKILL after that many seconds."""
    deadline = None
    while True:
        left = max(deadline - time.monotonic(), 0) if deadline else 3600
        info = signal.sigtimedwait(FORWARDED | {signal.SIGCHLD}, left)
        if info is None and deadline:
            os.kill(command, signal.SIGKILL)
            deadline = None
        elif info and info.si_signo == signal.SIGCHLD:
            status = reap(command)
            if status is not None:
                return status
        elif info and info.si_code != SI_KERNEL:  # the terminal sends its signals to the command itself
            os.kill(command, info.si_signo)
            if limit_s and info.si_signo in ENDING:
                deadline = deadline or time.monotonic() + limit_s


def reap(command):
    """Reaps all children that have ended. Returns the status of `command` if it has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == command:
            return status
        if pid == 0:
            return None


def run(root, words, agent=None):
    """Returns the status of the command. If a signal ended it, this process ends by the same
    signal. The file `agent` appears as AGENT in the root."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the caller may have set SIG_IGN
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    reader, writer = os.pipe()
    called("unshare", CLONE_NEWNS | CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        os.close(reader)
        be_first(root, words, agent and os.path.abspath(agent), writer, mask)
    os.close(writer)
    attend(first, STOP_LIMIT_S)
    told = os.read(reader, 4)
    status = struct.unpack("i", told)[0] if told else signal.SIGKILL
    if os.WIFSIGNALED(status):
        die_of(os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


def die_of(number):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
