"""Debian's own kernel, as its users have it: fetched by this machine's apt from its own sources, and not installed.

    CACHE/stock-<package>-<version>/bzImage   its image
    CACHE/stock-<package>-<version>/modules/  amdgpu.ko, and what it and the lab's init need
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile

import modules
from common import UNDECIDED, LabError, cache_root, note

META = "linux-image-amd64"  # of this machine's suite; it depends on the one kernel that is the newest


def asked(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise LabError(f"`{' '.join(words)}` fails: {done.stderr.strip()}")
    return done.stdout


def package():
    """The name and version of the package with the kernel."""
    found = re.search(r"Depends: (linux-image-\d\S+)", asked("apt-cache", "depends", META))
    version = found and re.search(r"Candidate: (\S+)", asked("apt-cache", "policy", found[1]))
    if not version:
        raise LabError(f"this machine's apt knows no {META}: is this Debian, and was `apt-get update` run?", UNDECIDED)
    return found[1], version[1]


def folder_of(name, version):
    return os.path.join(cache_root(), f"stock-{name}-{version.replace(':', '_')}")


def present():
    folder = folder_of(*package())
    if not os.path.isdir(folder):
        raise LabError("Debian's own kernel is not fetched yet. Fetch it: ci/lab stock", UNDECIDED)
    return folder


def fetch(driver):
    """The folder. 70 MB come over the network, and 40 MB are kept."""
    name, version = package()
    folder = folder_of(name, version)
    if os.path.isdir(folder):
        return folder
    os.makedirs(cache_root(), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="stock-") as work:
        os.chmod(work, 0o755)  # apt's own user writes there
        note(f"fetching {name} {version}")
        done = subprocess.run(["apt-get", "-q", "download", f"{name}={version}"], cwd=work, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        packages = glob.glob(os.path.join(work, "*.deb"))
        if done.returncode or not packages:
            raise LabError(f"apt-get does not download {name}: {done.stdout.strip()}")
        asked("dpkg", "-x", packages[0], os.path.join(work, "all"))
        kept = os.path.join(work, "kept")
        os.makedirs(os.path.join(kept, "modules"))
        shutil.copy(glob.glob(os.path.join(work, "all/boot/vmlinuz-*"))[0], os.path.join(kept, "bzImage"))
        for path in modules.needed(os.path.join(work, "all/lib/modules"), driver):
            shutil.copy(path, os.path.join(kept, "modules"))
        os.rename(kept, folder)
    return folder
