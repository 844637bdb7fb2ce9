"""Builds the lab kernel, its hmm-tests and the base initramfs, once per set of inputs.

    CACHE/<key>/        a finished lab: bzImage System.map config version hmm-tests
                        initramfs build.log; modules/ where a driver is one
    CACHE/work/<id>/    one per source and compiler: src (removed after a build),
                        obj (kept: the next build of this source starts from it)

All variants are built in obj, since objects hold their own path: only what differs is
compiled. make sees by itself what the options of a variant change. It does not see a bug
that comes and goes with its time unchanged, so the mutants have a copy of obj set aside.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time

import initramfs
import modules
import mutants
import options
import source as sources
from common import HERE, LabError, cache_root, note
from progress import run_make

FRAGMENT = os.path.join(HERE, "kernel.config")
INIT = os.path.join(HERE, "init")

# The variants: what a kernel has beside the lab's own.
LAB, MUTANTS, AMDGPU = "", "mutants", "amdgpu"
ADDED = {AMDGPU: os.path.join(HERE, "amdgpu.config")}
OPTION = re.compile(r"(?:# )?(CONFIG_\w+)(?:=| is not set$)")

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


def fragment(variant):
    """The options of kernel.config and of the variant, which win."""
    lines = {}
    for path in filter(None, (FRAGMENT, ADDED.get(variant))):
        for line in read_text(path).splitlines():
            if option := OPTION.match(line):
                lines[option[1]] = line + "\n"
    return "".join(lines.values())


def key(source, variant):
    """Names a lab by all that goes into it."""
    parts = [source.identity, compiler(), fragment(variant), read_text(INIT),
             read_text(os.path.join(HERE, "build.py")),
             read_text(os.path.join(HERE, "initramfs.py"))]
    if variant == MUTANTS:
        parts.append(mutants.recipe())
    return digest(*parts) + (variant and "-" + variant)


def cached(source, variant):
    """The folder of a finished lab, or None."""
    folder = os.path.join(cache_root(), key(source, variant))
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


def not_in_effect(wanted, config):
    """The lines of a fragment that a finished configuration does not have."""
    have = set(config.splitlines())
    set_names = {line.split("=")[0] for line in have if line.startswith("CONFIG_")}
    missing = []
    for line in wanted.splitlines():
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

    def configure(self, variant, log):
        """tinyconfig plus the fragment; an unchanged result keeps its time, so that
        make compiles nothing again."""
        config = os.path.join(self.obj, ".config")
        before = initramfs.read(config) if os.path.exists(config) else b""
        wanted = options.fitted(fragment(variant), self.src)
        times = os.stat(config) if before else None
        self.make(log, "tinyconfig")
        with open(config, "a", encoding="utf-8") as f:
            f.write(wanted)
        self.make(log, "olddefconfig")
        missing = not_in_effect(wanted, read_text(config))
        if missing:
            raise LabError("this kernel does not take " + ", ".join(missing) +
                           f" (from {ADDED.get(variant, FRAGMENT)}): a dependency is missing, or the name changed")
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


def make_lab(source, name, keep, work):
    """Returns the folder of that name in the cache. If it is not there, work(tree, partial, log) fills it."""
    folder = os.path.join(cache_root(), name)
    if os.path.isdir(folder):
        return folder
    check_tools()
    with Tree(source) as tree:
        if os.path.isdir(folder):  # by whom we waited for
            return folder
        started = time.monotonic()
        partial = folder + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(partial)
        log = os.path.join(partial, "build.log")
        try:
            sources.unpack(source, tree.src)
            tree.make_healthy()
            work(tree, partial, log)
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


def build(source, variant, keep):
    """Returns the folder of a finished lab, building what is not there."""
    def work(tree, partial, log):
        compile_kernel(tree, partial, log, variant)
        finish(tree, partial, log)
    return make_lab(source, key(source, variant), keep, work)


def compile_kernel(tree, partial, log, variant):
    os.makedirs(tree.obj, exist_ok=True)
    tree.configure(variant, log)
    tree.make(log, "bzImage", *(["modules"] if variant in ADDED else []))
    if variant == MUTANTS:
        tree.set_aside()
        try:
            mutants.apply(tree.src)
            tree.make(log, "bzImage")
            collect(tree.obj, partial)
        finally:
            tree.make_healthy()
    else:
        collect(tree.obj, partial)
    if variant in ADDED:
        collect_modules(tree.obj, variant, os.path.join(partial, "modules"))


def collect_modules(obj, driver, folder):
    """The driver, named as its variant, and the modules that it needs."""
    os.makedirs(folder)
    for path in modules.closure(obj, driver):
        shutil.copyfile(path, os.path.join(folder, os.path.basename(path)))


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
