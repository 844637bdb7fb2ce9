"""Writes newc cpio archives, the form in which the kernel takes an initramfs.

Written here rather than by cpio(1) so that an archive depends on nothing but the
names and bytes in it: no inode numbers, no times, no owner, no root to make nodes.
The kernel unpacks archives that stand one after the other, which is how an agent
is added to the base archive at boot.
"""

import gzip
import os
import shutil
import stat
import subprocess

ALIGN = 4
BASE_DIRS = ["bin", "dev", "proc", "sys", "tmp", "root", "etc", "mnt"]


class Archive:
    """One cpio archive in memory. Names are relative, without a leading slash."""

    def __init__(self):
        self._parts = []
        self._inode = 0
        self._dirs = set()

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        self._inode += 1
        raw = name.encode() + b"\0"
        fields = [self._inode, mode, 0, 0, 1, 0, len(data), 0, 0,
                  rdev[0], rdev[1], len(raw), 0]
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        for part in (head, data):
            self._parts.append(part + b"\0" * (-len(part) % ALIGN))

    def directory(self, name):
        """Adds a directory and those above it, each once."""
        if name in ("", ".") or name in self._dirs:
            return
        self.directory(os.path.dirname(name))
        self._dirs.add(name)
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def char_device(self, name, major, minor):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def bytes(self):
        trailer = Archive()
        trailer._entry("TRAILER!!!", 0)
        return b"".join(self._parts + trailer._parts)


def find_busybox():
    """The path of a statically linked busybox, or None."""
    for path in ("/bin/busybox", "/usr/bin/busybox", shutil.which("busybox") or ""):
        if os.path.exists(path) and is_static_elf(path):
            return path
    return None


def is_static_elf(path):
    """True for an x86-64 ELF file that asks for no dynamic loader."""
    with open(path, "rb") as f:
        head = f.read(64)
        if head[:5] != b"\x7fELF\x02" or head[18:20] != b"\x3e\x00":
            return False
        offset = int.from_bytes(head[32:40], "little")
        size = int.from_bytes(head[54:56], "little")
        count = int.from_bytes(head[56:58], "little")
        f.seek(offset)
        table = f.read(size * count)
    kinds = [int.from_bytes(table[i:i + 4], "little")
             for i in range(0, len(table), max(size, 1))]
    return 3 not in kinds  # PT_INTERP


def base(init_path, extra):
    """The base initramfs, compressed: busybox, /init, and `extra` {name: path}."""
    busybox = find_busybox()
    archive = Archive()
    for name in BASE_DIRS:
        archive.directory(name)
    archive.char_device("dev/console", 5, 1)
    archive.char_device("dev/null", 1, 3)
    archive.file("bin/busybox", read(busybox))
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True)
    for applet in applets.stdout.decode().split():
        if applet != "busybox":
            archive.symlink("bin/" + applet, "busybox")
    archive.file("init", read(init_path))
    for name, path in extra.items():
        archive.file(name, read(path))
    packed = gzip.compress(archive.bytes(), 6, mtime=0)
    return packed + b"\0" * (-len(packed) % ALIGN)  # where the overlay must start


def overlay(files):
    """A second archive to follow the base: {name: (bytes, mode)}."""
    archive = Archive()
    for name, (data, mode) in files.items():
        archive.file(name, data, mode)
    return archive.bytes()


def read(path):
    with open(path, "rb") as f:
        return f.read()
