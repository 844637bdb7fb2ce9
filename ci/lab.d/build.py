"""Builds the lab kernel, its hmm-tests and the base initramfs, once per set of inputs.

    CACHE/<key>/        a finished lab: bzImage System.map config version hmm-tests
                        initramfs build.log
    CACHE/work/<id>/    one per source and compiler: src (removed after a build),
                        obj (kept: the next build of this source starts from it)

The mutants kernel is built in obj as well, since objects hold their own path, with a
copy of obj set aside: only what the mutants touch is compiled, and the copy comes back.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time

import initramfs
import mutants
import source as sources
from common import HERE, LabError, cache_root, note
from progress import run_make

FRAGMENT = os.path.join(HERE, "kernel.config")
INIT = os.path.join(HERE, "init")
TOOLS = {"gcc": "gcc", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc",
         "ld": "binutils", "perl": "perl", "xz": "xz-utils", "gzip": "gzip",
         "mke2fs": "e2fsprogs"}
os.environ["PATH"] += ":/usr/sbin:/sbin"  # where mke2fs is
HEADERS = {"gelf.h": "libelf-dev", "stdio.h": "libc6-dev"}

# The same inputs give the same kernel, byte for byte.
MAKE_ENV = {"KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970", "LC_ALL": "C",
            "KBUILD_BUILD_USER": "faultline", "KBUILD_BUILD_HOST": "lab",
            "KBUILD_BUILD_VERSION": "1"}

# A killed machine must not take finished TAP lines with it: they go out one by one.
LINE_BUFFERED = """#include <stdio.h>
__attribute__((constructor)) static void line_buffered(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
}
"""


def read_text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def compiler():
    try:
        done = subprocess.run(["gcc", "--version"], stdout=subprocess.PIPE, check=True)
    except (OSError, subprocess.CalledProcessError) as e:
        raise LabError("gcc is not installed: apt-get install gcc") from e
    return done.stdout.decode().splitlines()[0]


def digest(*parts):
    sha = hashlib.sha256()
    for part in parts:
        sha.update(hashlib.sha256(part.encode()).digest())
    return sha.hexdigest()[:16]


def key(source, with_mutants):
    """Names a lab by all that goes into it."""
    parts = [source.identity, compiler(), read_text(FRAGMENT), read_text(INIT),
             read_text(os.path.join(HERE, "build.py")),
             read_text(os.path.join(HERE, "initramfs.py"))]
    if with_mutants:
        parts.append(mutants.recipe())
    return digest(*parts) + ("-mutants" if with_mutants else "")


def cached(source, with_mutants):
    """The folder of a finished lab, or None."""
    folder = os.path.join(cache_root(), key(source, with_mutants))
    return folder if os.path.isdir(folder) else None


def check_tools():
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    for header, package in HEADERS.items():
        probe = subprocess.run(["gcc", "-E", "-x", "c", "-"], input=f"#include <{header}>\n",
                               text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if probe.returncode:
            missing.append(package)
    if not initramfs.find_busybox():
        missing.append("busybox-static")
    if missing:
        raise LabError("missing to build the lab: " + ", ".join(missing) +
                       ". Install: apt-get install " + " ".join(missing))


def not_in_effect(fragment, config):
    """The lines of a fragment that a finished configuration does not have."""
    have = set(config.splitlines())
    set_names = {line.split("=")[0] for line in have if line.startswith("CONFIG_")}
    missing = []
    for line in fragment.splitlines():
        line = line.strip()
        if line.startswith("CONFIG_") and line not in have:
            missing.append(line)
        if line.startswith("# CONFIG_") and line.endswith(" is not set"):
            if line.split()[1] in set_names:
                missing.append(line[2:])
    return missing


class Tree:
    """The work folder of one source and compiler, held under a lock."""

    def __init__(self, source):
        self.source = source
        self.root = os.path.join(cache_root(), "work", digest(source.place, compiler()))
        self.src = os.path.join(self.root, "src")
        self.obj = os.path.join(self.root, "obj")
        self.healthy = os.path.join(self.root, "obj-healthy")
        os.makedirs(self.root, exist_ok=True)
        self._lock = open(os.path.join(self.root, "lock"), "w", encoding="utf-8")

    def __enter__(self):
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("another build of this source is running: waiting for it")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self._lock.close()

    def set_aside(self):
        """Keeps a copy of the healthy objects, complete once it has its name."""
        partial = self.healthy + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", self.obj, partial], check=True)
        os.rename(partial, self.healthy)

    def make_healthy(self):
        """Takes the mutants out of source and objects, also after a build that was
        killed."""
        mutants.revert(self.src)
        if os.path.isdir(self.healthy):
            shutil.rmtree(self.obj, ignore_errors=True)
            os.rename(self.healthy, self.obj)

    def make(self, log, *words):
        env = {**os.environ, **MAKE_ENV}
        run_make(["make", "-C", self.src, f"O={self.obj}", f"-j{os.cpu_count()}", *words], env, log)

    def configure(self, log):
        """tinyconfig plus the fragment; an unchanged result keeps its time, so that
        make compiles nothing again."""
        config = os.path.join(self.obj, ".config")
        before = initramfs.read(config) if os.path.exists(config) else b""
        times = os.stat(config) if before else None
        self.make(log, "tinyconfig")
        with open(config, "a", encoding="utf-8") as f:
            f.write(read_text(FRAGMENT))
        self.make(log, "olddefconfig")
        missing = not_in_effect(read_text(FRAGMENT), read_text(config))
        if missing:
            raise LabError("this kernel does not take " + ", ".join(missing) +
                           f" (from {FRAGMENT}): a dependency is missing, or the name changed")
        if times and initramfs.read(config) == before:
            os.utime(config, ns=(times.st_atime_ns, times.st_mtime_ns))

    def hmm_tests(self, out, log):
        """Links the kernel's own tests, statically."""
        tests = [os.path.join(self.src, "tools/testing/selftests", d, "hmm-tests.c")
                 for d in ("mm", "vm")]
        found = [t for t in tests if os.path.exists(t)]
        if not found:
            raise LabError(f"{self.source.path} has no hmm-tests.c")
        shim = os.path.join(self.root, "line-buffered.c")
        with open(shim, "w", encoding="utf-8") as f:
            f.write(LINE_BUFFERED)
        self.make(log, "headers")
        command = ["gcc", "-static", "-O2", "-pthread", "-D_GNU_SOURCE=", "-w",
                   "-I", self.src, "-isystem", os.path.join(self.obj, "usr/include"),
                   "-I", os.path.join(self.src, "tools/testing/selftests"),
                   "-o", out, found[0], shim]
        run_make(command, os.environ, log)


def build(source, with_mutants, keep):
    """Returns the folder of a finished lab, building what is not there."""
    done = cached(source, with_mutants)
    if done:
        return done
    check_tools()
    with Tree(source) as tree:
        done = cached(source, with_mutants)  # by whom we waited for
        if done:
            return done
        started = time.monotonic()
        folder = os.path.join(cache_root(), key(source, with_mutants))
        partial = folder + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(partial)
        log = os.path.join(partial, "build.log")
        try:
            sources.unpack(source, tree.src)
            tree.make_healthy()
            compile_kernel(tree, partial, log, with_mutants)
            finish(tree, partial, log)
        except BaseException:
            if os.path.exists(log):
                os.replace(log, os.path.join(tree.root, "failed.log"))
            shutil.rmtree(partial, ignore_errors=True)
            raise
        os.rename(partial, folder)
        if not keep:
            shutil.rmtree(tree.src, ignore_errors=True)
        note(f"built in {time.monotonic() - started:.0f} s")
        return folder


def compile_kernel(tree, partial, log, with_mutants):
    os.makedirs(tree.obj, exist_ok=True)
    tree.configure(log)
    tree.make(log, "bzImage")
    if with_mutants:
        tree.set_aside()
        try:
            mutants.apply(tree.src)
            tree.make(log, "bzImage")
            collect(tree.obj, partial)
        finally:
            tree.make_healthy()
    else:
        collect(tree.obj, partial)


def collect(obj, partial):
    for name, path in (("bzImage", "arch/x86/boot/bzImage"), ("System.map", "System.map"),
                       ("config", ".config")):
        shutil.copyfile(os.path.join(obj, path), os.path.join(partial, name))
    version = read_text(os.path.join(obj, "include/config/kernel.release")).strip()
    with open(os.path.join(partial, "version"), "w", encoding="utf-8") as f:
        f.write(version + "\n")


def finish(tree, partial, log):
    tests = os.path.join(partial, "hmm-tests")
    tree.hmm_tests(tests, log)
    files = os.path.join(partial, "files.ext4")
    file_system(files, log)
    with open(os.path.join(partial, "initramfs"), "wb") as f:
        f.write(initramfs.base(INIT, {"hmm-tests": tests, "files.ext4": files}))
    os.remove(files)


def file_system(out, log):
    """An empty ext4 for the lab's RAM disk: files in tmpfs know no O_DIRECT."""
    run_make(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal",
              "-U", "00000000-0000-4000-8000-000000000000", out, "8M"], os.environ, log)
