"""Finds the kernel source to build, and unpacks it."""

import glob
import hashlib
import os
import re
import shutil
import subprocess

import fetched
from common import BAD_INPUT, UNDECIDED, LabError, note

PREFERRED = "6.1"
WHERE = "/usr/src"
SUFFIXES = (".tar.xz", ".tar.bz2", ".tar.gz", ".tar.zst", ".tar")
SAMPLE = 1 << 20
NEEDED_BYTES = 4 << 30


class Source:
    """A tarball or a directory. `identity` changes with the content. `place` names the object
    tree; sources with different contents and the same `place` share one, one after the other."""

    def __init__(self, path):
        self.path = path
        self.is_dir = os.path.isdir(path)
        self.identity = tree_identity(path) if self.is_dir else file_identity(path)
        self.place = path if self.is_dir else self.identity


def find(wanted, fetch=None):
    """`wanted` is None, a version such as 6.1, a tarball, or a source folder. `fetch(version)` gets a tarball that is not
    here yet; without it, only what was fetched before is found."""
    if wanted and (os.path.sep in wanted or os.path.exists(wanted)):
        return Source(checked(os.path.abspath(wanted)))
    if wanted:
        return Source(packaged(wanted) or fetched.cached(wanted) or got(wanted, fetch))
    path = packaged(PREFERRED) or newest()
    if not path:
        raise LabError("no kernel source here. Install one: apt-get install linux-source, or "
                       "give --source a version, a tarball or a folder", BAD_INPUT)
    return Source(path)


def got(version, fetch):
    """What fetch() gets, for a version that is neither installed nor cached. LabError where none can be had."""
    if version not in fetched.SUITES:
        raise LabError(f"no source of Linux {version}: {WHERE}/linux-source-{version}.tar.* "
                       f"is not there. Install it: apt-get install linux-source-{version}. Fetched unasked: " +
                       ", ".join(fetched.SUITES), BAD_INPUT)
    if not fetch:
        raise LabError(f"no source of Linux {version} here yet. Fetch and build it: ci/lab build --source {version}", UNDECIDED)
    return fetch(version)


def checked(path):
    if not os.path.exists(path):
        raise LabError(f"source {path}: no such file or folder", BAD_INPUT)
    if os.path.isdir(path) and not os.path.exists(os.path.join(path, "Kbuild")):
        raise LabError(f"source {path} is not the top of a Linux source tree", BAD_INPUT)
    return path


def packaged(version):
    for pattern in (f"linux-source-{version}", f"linux-source-{version}/linux-source-{version}"):
        for suffix in SUFFIXES:
            path = os.path.join(WHERE, pattern + suffix)
            if os.path.exists(path):
                return path
    return None


def newest():
    def version(path):
        return [int(n) for n in re.findall(r"\d+", os.path.basename(path))]
    found = [p for p in glob.glob(WHERE + "/linux-source-*.tar*") +
             glob.glob(WHERE + "/linux-source-*/linux-source-*.tar*")]
    return max(found, key=version, default=None)


def file_identity(path):
    """A digest of the size, and of the first and last mebibyte. A compressed archive cannot
    change without changing one of these."""
    digest = hashlib.sha256(str(os.path.getsize(path)).encode())
    with open(path, "rb") as f:
        digest.update(f.read(SAMPLE))
        f.seek(max(0, os.path.getsize(path) - SAMPLE))
        digest.update(f.read())
    return digest.hexdigest()


def tree_identity(path):
    """For a git tree, a digest of its commit and its changes. Otherwise of the size and time
    of every file."""
    def git(*words):
        return subprocess.run(["git", "-C", path, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    digest = hashlib.sha256(path.encode())
    head = git("rev-parse", "HEAD")
    if head.returncode == 0 and os.path.exists(os.path.join(path, ".git")):
        digest.update(head.stdout + git("diff", "HEAD").stdout)
        names = git("ls-files", "-z", "--others", "--exclude-standard").stdout.decode().split("\0")
        files = [os.path.join(path, name) for name in names if name]
    else:
        files = [os.path.join(at, name) for at, _, names in os.walk(path) for name in names]
    for name in sorted(files):
        info = os.lstat(name)
        digest.update(f"{name} {info.st_size} {info.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def unpack(source, into):
    """Unpacks or copies the tree to `into`. An interrupted unpacking starts over. Files keep
    their times, so that objects of an earlier build stay valid."""
    if source.is_dir:
        shutil.rmtree(into, ignore_errors=True)  # an old copy
    if os.path.isdir(into):
        return
    room(os.path.dirname(into))
    partial = into + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    note(f"{'copying' if source.is_dir else 'unpacking'} {source.path}")
    if source.is_dir:
        script = ('tar -C "$1" --exclude=./.git -cf - . | tar -C "$2" -xf - && '
                  'make -s -C "$2" mrproper')
    else:
        script = 'tar -x --strip-components=1 -C "$2" -f "$1"'
    done = subprocess.run(["sh", "-c", script, "sh", source.path, partial],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        shutil.rmtree(partial, ignore_errors=True)
        raise LabError(f"cannot unpack {source.path}: {' '.join(last) or 'no reason given'}")
    os.rename(partial, into)


def room(folder):
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise LabError(f"{folder} has {free >> 20} MiB free, a kernel build needs "
                       f"{NEEDED_BYTES >> 20} MiB. Free some, or point FAULTLINE_CACHE to a "
                       "larger disk")
