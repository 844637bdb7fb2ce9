"""Makes a root with packages of Debian 13, once each: what Debian 12 does not have.

    CACHE/<root>-<key>/   the finished root
    CACHE/work/<root>/    lock, and build.log of the last build

Its packages are extracted and nothing of them is run, which takes a third of the time of
an installation. What runs in them: chroot.py, and vfio_user.py.
"""

import fcntl
import glob
import os
import re
import shutil
import subprocess
import time
from collections import namedtuple
from urllib.parse import urlsplit

from build import digest, read_text
from common import HERE, UNDECIDED, LabError, cache_root, note
from progress import Meter, run_logged

# `name` is the command of ci/lab that makes it. Packages come from the last of the suites that
# has them. `trimmed`, `files` ({path: text}) and `links` ({path: target}) change what was extracted.
Root = namedtuple("Root", "name title suites packages trimmed files links")

DOCUMENTS = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"]

OPENCL = Root(
    name="root", title="Debian 13 root", suites=["trixie"],
    packages=[
        "pocl-opencl-icd",  # PoCL 6: fine-grained system SVM with atomics, on the CPU
        "mesa-opencl-icd",  # rusticl: system SVM on llvmpipe
        "ocl-icd-libopencl1", "libstdc++6", "libgcc-s1",  # for an agent that is linked dynamically
        # For ci/opencl-suite: the suite runs there, over a module that is built here for that Python.
        "python3", "python3-pytest", "libpython3.13-dev", "pybind11-dev",
        "base-files", "bash", "dash", "coreutils", "grep", "sed", "libc-bin",
    ],
    # PoCL links its kernels with the root's own ld, libgcc and libc: those stay.
    trimmed=DOCUMENTS + [
        "usr/lib/python3.13/config-*", "usr/lib/clc/*.bc",
        "usr/lib/gcc/*/*/lib*san.a", "usr/lib/*/lib*san.so*",
        # Mesa's other OpenCL: it has no SVM, and no device without a GPU.
        "etc/OpenCL/vendors/mesa.icd", "usr/lib/*/libMesaOpenCL.so*", "usr/lib/*/gallium-pipe",
    ],
    files={"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n",
           "agent": ""},  # what chroot.py binds a program over
    links={})

QEMU = Root(
    name="qemu", title="root of QEMU 11", suites=["trixie", "trixie-backports"],  # vfio-user came with 10.1
    packages=["qemu-system-x86", "seabios", "libc6", "libc-bin"],
    trimmed=DOCUMENTS + ["usr/bin/qemu-system-i386", "usr/bin/qemu-system-x86_64-microvm"],
    files={},
    # QEMU looks for its modules and ROMs below this, beside its program (which is ld.so, see vfio_user.py), before it
    # looks in the machine's own folders, where those of another version are.
    links={"usr/lib/x86_64-linux-gnu/qemu-bundle": "../../.."})

KEYRINGS = "/usr/share/keyrings"
NEEDED_BYTES = 2 << 30

# A fetched index or package, an extracted package.
STEP = re.compile(rb"^Get:\d+ \S+ \S+ \S+ (\S+)|^D: .*running dpkg-deb .*/([^/_]+)_")
BINARY_INDEX = re.compile(r"^'(\S+?)/dists/([^/']+)/main/binary-", re.M)


def key(root):
    """Names a root by all that goes into it."""
    return f"{root.name}-" + digest(repr(root), read_text(os.path.join(HERE, "root.py")))


def cached(root):
    """The finished root, or None."""
    folder = os.path.join(cache_root(), key(root))
    return folder if os.path.isdir(folder) else None


def present(root):
    folder = cached(root)
    if not folder:
        raise LabError(f"the {root.title} is not built yet. Build it: ci/lab {root.name}", UNDECIDED)
    return folder


def index_uris():
    """What apt would fetch for this machine's own sources, whichever their format."""
    done = subprocess.run(["apt-get", "update", "--print-uris"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise LabError("apt-get does not read this machine's sources: " + done.stderr.strip())
    return done.stdout


def mirror():
    """The Debian mirror that this machine uses: where its packages come from, not their
    security or other updates (bookworm-security, bookworm-updates)."""
    found = [uri for uri, suite in BINARY_INDEX.findall(index_uris())
             if "-" not in suite and not uri.startswith("cdrom:")]
    if not found:
        raise LabError("no Debian mirror in this machine's apt sources (/etc/apt): name one by "
                       "--mirror URI")
    # Others offer packages for the same suites.
    return min(found, key=lambda uri: "debian" not in urlsplit(uri).path.split("/"))


def check_tools(root):
    if os.geteuid():
        raise LabError(f"the {root.title} is made as root: sudo ci/lab {root.name}")
    if not shutil.which("mmdebstrap"):
        raise LabError("mmdebstrap is not installed: apt-get install mmdebstrap")
    free = shutil.disk_usage(cache_root()).free
    if free < NEEDED_BYTES:
        raise LabError(f"{cache_root()} has {free >> 20} MiB free, the root needs "
                       f"{NEEDED_BYTES >> 20} MiB while it is made. Free some, or point "
                       "FAULTLINE_CACHE to a larger disk")


def command(root, folder, uri):
    """In process numbers of its own, so that nothing of it goes on when it is killed."""
    return ["unshare", "--pid", "--fork", "--kill-child", "mmdebstrap", "--debug",
            "--variant=extract", "--include=" + ",".join(root.packages), "--keyring=" + KEYRINGS,
            '--aptopt=Acquire::Languages "none"',
            '--aptopt=Acquire::Retries "3"',
            f'--aptopt=APT::Default-Release "{root.suites[-1]}"',  # apt itself takes no backports unasked
            root.suites[0], folder, *(f"deb {uri} {suite} main" for suite in root.suites)]


def explain(root, uri, log):
    """What a failed mmdebstrap means, for run_logged()."""
    def words(_, status, errors):
        text = "\n".join(errors)
        shown = "".join("\n  | " + e for e in errors) + f"\nthe whole log is {log}"
        if "No space left" in text:
            return ("the disk is full. Free some space, or point FAULTLINE_CACHE to a larger "
                    "disk, and run it again")
        if "NO_PUBKEY" in text or "not signed" in text:
            return (f"the keys of Debian 13 are not in {KEYRINGS}: "
                    "apt-get install debian-archive-keyring" + shown)
        if re.search(r"resolv|connect|unreachable|timed out|Failed to fetch|404 ", text, re.I):
            return (f"{uri} does not give {' and '.join(root.suites)}: no network, or no mirror of Debian 13. Name "
                    f"another one by ci/lab {root.name} --mirror URI" + shown)
        return f"mmdebstrap failed with status {status}" + shown
    return words


def finish(root, folder):
    """Takes out what nobody runs, puts in what no package holds."""
    for pattern in root.trimmed:
        for path in glob.glob(os.path.join(folder, pattern)):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    for name, text in root.files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)
    for name, target in root.links.items():
        os.symlink(target, os.path.join(folder, name))


def build(root, uri=None):
    """Returns the folder of the root, making it when it is not there."""
    if cached(root):
        return cached(root)
    work = os.path.join(cache_root(), "work", root.name)
    os.makedirs(work, exist_ok=True)
    check_tools(root)
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as lock:
        hold(lock, root)
        if cached(root):  # by whom we waited for
            return cached(root)
        started = time.monotonic()
        uri = uri or mirror()
        log = os.path.join(work, "build.log")
        folder = os.path.join(cache_root(), key(root))
        partial = folder + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        open(log, "wb").close()
        note(f"making the {root.title} from {uri}")
        try:
            run_logged(command(root, partial, uri), {**os.environ, "LC_ALL": "C"}, log,
                       Meter(STEP, "steps done"), explain(root, uri, log))
            finish(root, partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        os.rename(partial, folder)
        note(f"made in {time.monotonic() - started:.0f} s")
        return folder


def hold(lock, root):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(f"another build of the {root.title} is running: waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)
